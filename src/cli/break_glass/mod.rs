//! `lifeboat break-glass`

mod env;
mod grant;
mod keep;
mod overdue;
mod report;
mod revoke;
mod serve;

use std::path::PathBuf;

use jiff::SignedDuration;

use super::{Context, Exit, Failure, environment};

/// Serve secrets from snapshots to applications while the provider is down
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Serve(Box<serve::Args>),
    Grant(grant::Args),
    Revoke(revoke::Args),
    Env(env::Args),
    Report(Box<report::Args>),
}

impl Args {
    /// Whether it is meant to be stopped by ^C and sees to it itself.
    pub(super) fn stops_itself(&self) -> bool {
        matches!(self.action, Action::Serve(_))
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Serve(args) => Box::pin(serve::run(context, *args)).await,
        Action::Grant(args) => grant::run(context, args).await,
        Action::Revoke(args) => revoke::run(context, args).await,
        Action::Env(args) => env::run(context, &args),
        Action::Report(args) => report::run(context, *args).await,
    }
}

/// The address of a server unless another is given.
const LISTEN: &str = "127.0.0.1:4590";

/// Where the socket is, unless another is given.
fn socket(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match given {
        Some(socket) => Ok(socket),
        None => Ok(runtime_folder()?.join("break-glass.sock")),
    }
}

fn runtime_folder() -> Result<PathBuf, Failure> {
    environment::runtime_folder().ok_or_else(|| {
        Failure::usage("neither XDG_RUNTIME_DIR nor HOME is set, so there is no folder for the socket")
            .hint("use --socket FILE, in a folder of this user alone")
    })
}

/// `30m`, `4h`, `2d`
fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let wrong = || "write a number with its unit: 90s, 30m, 4h or 2d".to_owned();
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let count: u32 = text[..at].parse().map_err(|_| wrong())?;
    let seconds = match &text[at..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    Ok(SignedDuration::from_secs(i64::from(count) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("4h", 14_400), (" 2d ", 172_800)] {
            assert_eq!(parse_duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for text in ["", "4", "h", "4 h", "-4h", "4x", "4hh", "99999999999h", "4h30m"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
