//! Telling somebody how a drill went. A notifier that fails is reported; it never changes a verdict.

use serde_json::Value as Json;

use super::{
    file::{Notifier, On},
    probe::{self, Ended},
};

/// Gives `summary` to every notifier that wants to hear of it; what went wrong, in sentences.
pub async fn tell(notifiers: &[Notifier], on: On, summary: &Json) -> Vec<String> {
    let input = serde_json::to_vec(summary).expect("a summary is plain data");
    let mut faults = Vec::new();
    for notifier in notifiers.iter().filter(|notifier| notifier.on.is_empty() || notifier.on.contains(&on)) {
        let how = match probe::run(&notifier.command, &input, notifier.time_limit).await {
            Ended::Code(0) => continue,
            Ended::Code(code) => format!("ended with {code}"),
            Ended::Signal => "was stopped by a signal".into(),
            Ended::Late => "did not end in time".into(),
            Ended::NotStarted(error) => format!("could not be started: {error}"),
        };
        faults.push(format!("the notifier {} {how}", notifier.command[0]));
    }
    faults
}
