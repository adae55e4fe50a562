//! Processes of hooks: without a shell, without stdin, with an environment that is given whole, and in a group of their own that
//! ends with them.

use std::{ffi::OsString, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    process::{Child, Command},
};

/// How long what was asked to end may take before it is ended.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of output that are looked at.
const MOST_OUTPUT: u64 = 64 << 10;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With this exit code.
    Code(i32),
    /// By a signal that nobody here sent.
    Signal,
    /// It could not be started.
    NotStarted(String),
    /// Whoever waits for it wanted its end.
    Stopped,
}

/// A process that ended.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) ended: Ended,
    /// What it printed, where that is looked at.
    pub(super) out: String,
    /// The same of its errors.
    pub(super) err: String,
}

impl Ran {
    fn without_output(ended: Ended) -> Self {
        Self { ended, out: String::new(), err: String::new() }
    }
}

/// Runs a command with these variables and no others, until it ends or `stop` does. What it prints is looked at only with
/// `listens`, and thrown away otherwise: it could be a value.
pub(super) async fn run(
    argv: &[String],
    variables: &[(OsString, OsString)],
    listens: bool,
    stop: impl Future<Output = ()>,
) -> Ran {
    let Some((program, arguments)) = argv.split_first() else {
        return Ran::without_output(Ended::NotStarted("no command".into()));
    };
    let output = || if listens { Stdio::piped() } else { Stdio::null() };
    let mut prepared = Command::new(program);
    prepared.args(arguments).env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
    prepared.stdin(Stdio::null()).stdout(output()).stderr(output()).kill_on_drop(true);
    #[cfg(unix)]
    prepared.process_group(0);
    let mut child = match prepared.spawn() {
        Ok(child) => child,
        Err(error) => return Ran::without_output(Ended::NotStarted(error.kind().to_string())),
    };
    // Whatever ends this function ends the group.
    let group = Group(child.id());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err) = (tokio::spawn(read(out)), tokio::spawn(read(err)));
    let ended = tokio::select! {
        status = child.wait() => match status {
            Ok(status) => status.code().map_or(Ended::Signal, Ended::Code),
            Err(error) => Ended::NotStarted(error.kind().to_string()),
        },
        () = stop => {
            end(&mut child, &group).await;
            Ended::Stopped
        }
    };
    drop(group);
    Ran { ended, out: text(out).await, err: text(err).await }
}

/// Asks a group to end, and ends it.
async fn end(child: &mut Child, group: &Group) {
    group.ask();
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
    group.kill();
    let _ = child.wait().await;
}

async fn read(output: Option<impl tokio::io::AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(output) = output {
        let _ = output.take(MOST_OUTPUT).read_to_end(&mut bytes).await;
    }
    bytes
}

/// What was read. A process that outlived its group may hold the other end open.
async fn text(mut reading: tokio::task::JoinHandle<Vec<u8>>) -> String {
    let read = tokio::time::timeout(GRACE, &mut reading).await;
    reading.abort();
    let bytes = read.ok().and_then(Result::ok).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The processes that a command started, itself included.
struct Group(Option<u32>);

#[cfg(unix)]
impl Group {
    fn ask(&self) {
        self.send(rustix::process::Signal::TERM);
    }

    fn kill(&self) {
        self.send(rustix::process::Signal::KILL);
    }

    fn send(&self, signal: rustix::process::Signal) {
        let id = self.0.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            let _ = rustix::process::kill_process_group(id, signal);
        }
    }
}

#[cfg(not(unix))]
impl Group {
    fn ask(&self) {}

    fn kill(&self) {}
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The variables of this process that a hook gets: those of these names, where they are set.
pub(super) fn chosen(all: &[(OsString, OsString)], names: &[&str]) -> Vec<(OsString, OsString)> {
    all.iter().filter(|(name, _)| names.iter().any(|wanted| name == wanted)).cloned().collect()
}

/// A variable that names a file.
pub(super) fn file(name: &str, path: &Path) -> (OsString, OsString) {
    (name.into(), path.into())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    async fn sh(script: &str, limit: Duration) -> (Ended, String) {
        let argv = ["/bin/sh", "-c", script].map(String::from);
        let ran = run(&argv, &[("PATH".into(), "/usr/bin:/bin".into())], true, tokio::time::sleep(limit)).await;
        (ran.ended, ran.out)
    }

    #[tokio::test]
    async fn the_exit_code_and_the_given_variables_alone() {
        let long = Duration::from_secs(10);
        assert_eq!(sh("exit 7", long).await.0, Ended::Code(7));
        assert_eq!(sh("kill -9 $$", long).await.0, Ended::Signal);
        let (ended, out) = sh("env | cut -d= -f1 | sort", long).await;
        assert_eq!(ended, Ended::Code(0));
        assert!(!out.contains("HOME") && !out.contains("CARGO") && out.contains("PATH"), "{out}");
        let nothing = run(&["/nonexistent".into()], &[], false, std::future::pending()).await;
        assert!(matches!(nothing.ended, Ended::NotStarted(_)));
    }

    #[tokio::test]
    async fn what_does_not_end_is_ended_with_everything_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        // It does not hear the first signal, and neither does its child.
        let script = format!("trap '' TERM; (trap '' TERM; sleep 4; touch {}) & sleep 30", mark.display());
        let begun = std::time::Instant::now();
        assert_eq!(sh(&script, Duration::from_millis(200)).await.0, Ended::Stopped);
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn what_a_command_leaves_behind_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let script = format!("(sleep 1; touch {}) & exit 0", mark.display());
        assert_eq!(sh(&script, Duration::from_secs(10)).await.0, Ended::Code(0));
        tokio::time::sleep(Duration::from_millis(1300)).await;
        assert!(!mark.exists());
    }
}
