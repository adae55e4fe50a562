//! Commands that are given a restored value, or a summary, on stdin and nowhere else.

use std::{process::Stdio, time::Duration};

use jiff::SignedDuration;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With this exit code.
    Code(i32),
    /// By a signal.
    Signal,
    /// Not within its time; it was killed.
    Late,
    /// It could not be started.
    NotStarted(String),
}

/// Runs `command` with `input` on its stdin. What it prints is thrown away: it could be the value.
pub(super) async fn run(command: &[String], input: &[u8], limit: SignedDuration) -> Ended {
    run_with(command, input, limit, (&[], &[])).await
}

/// The same with other variables: those that are set, none of which may hold a value, and those that are taken away.
pub(super) async fn run_with(
    command: &[String],
    input: &[u8],
    limit: SignedDuration,
    (set, without): (&[(&str, String)], &[&str]),
) -> Ended {
    let Some((program, arguments)) = command.split_first() else { return Ended::NotStarted("no command".into()) };
    let mut prepared = Command::new(program);
    for name in without {
        prepared.env_remove(name);
    }
    prepared.envs(set.iter().map(|(name, value)| (name, value)));
    prepared.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    // A group of its own, so that what it starts ends with it.
    #[cfg(unix)]
    prepared.process_group(0);
    let mut child = match prepared.spawn() {
        Ok(child) => child,
        Err(error) => return Ended::NotStarted(error.to_string()),
    };
    let group = child.id();
    let limit = Duration::try_from(limit).unwrap_or_default();
    let ended = tokio::time::timeout(limit, feed(&mut child, input)).await;
    if ended.is_err() {
        kill(group);
        let _ = child.wait().await;
    }
    match ended {
        Ok(Ok(status)) => status.code().map_or(Ended::Signal, Ended::Code),
        Ok(Err(error)) => Ended::NotStarted(error.to_string()),
        Err(_) => Ended::Late,
    }
}

async fn feed(child: &mut Child, input: &[u8]) -> std::io::Result<std::process::ExitStatus> {
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its stdin may be right: its exit code decides.
        let _ = stdin.write_all(input).await;
        let _ = stdin.shutdown().await;
    }
    child.wait().await
}

#[cfg(unix)]
fn kill(group: Option<u32>) {
    let group = group.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill(_group: Option<u32>) {}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str, input: &[u8], millis: i64) -> Ended {
        let command = ["/bin/sh", "-c", script].map(String::from);
        run(&command, input, SignedDuration::from_millis(millis)).await
    }

    #[tokio::test]
    async fn the_exit_code_is_what_counts() {
        assert_eq!(sh("test \"$(cat)\" = hunter2", b"hunter2", 5000).await, Ended::Code(0));
        assert_eq!(sh("test \"$(cat)\" = hunter2", b"hunter3", 5000).await, Ended::Code(1));
        assert_eq!(sh("exit 7", &vec![b'x'; 200_000], 5000).await, Ended::Code(7), "a closed stdin is no failure");
        assert_eq!(sh("kill -9 $$", b"", 5000).await, Ended::Signal);
        assert!(matches!(run(&["/nonexistent".into()], b"", SignedDuration::from_secs(1)).await, Ended::NotStarted(_)));
        assert!(matches!(run(&[], b"", SignedDuration::from_secs(1)).await, Ended::NotStarted(_)));
    }

    #[tokio::test]
    async fn a_late_command_ends_with_everything_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let script = format!("(sleep 1; touch {}) & sleep 5", mark.display());
        let begun = std::time::Instant::now();
        assert_eq!(sh(&script, b"", 200).await, Ended::Late);
        assert!(begun.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(Duration::from_millis(1300)).await;
        assert!(!mark.exists());
    }
}
