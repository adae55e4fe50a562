//! What `doctor` says of files of secrets where they lie.

use super::{Findings, State};
use crate::{
    app,
    provider::dotenv::{Examined, Finding},
    text,
};

impl Findings {
    /// Which files others can read, which a repository of code has, which hold no plain secret, which cannot be read.
    pub(super) async fn files_of(&mut self, address: &str) {
        let Some(examined) = self.attempt("files", app::examine_files(address).await) else { return };
        let Examined { files, findings, git } = examined;
        if files == 0 {
            self.add("files", State::Remark, "no file has a name that is captured; ?include= names others");
        }
        for (name, finding) in findings {
            let (state, detail) = match finding {
                Finding::Exposed(mode) => {
                    let words = format!("mode {mode:04o}: other users can read or change it; chmod go-rwx");
                    (State::Wrong, words)
                }
                Finding::Tracked => (
                    State::Wrong,
                    "git tracks it: whoever has the repository has these secrets; change them, then `git rm --cached`"
                        .into(),
                ),
                Finding::Encrypted(kind) => {
                    (State::Remark, format!("encrypted by {kind}: the backup has these bytes, and not their key"))
                }
                Finding::Unreadable(code) => (State::Wrong, format!("it is not captured: {code}")),
            };
            self.add(format!("file {}", text::line(&name)), state, detail);
        }
        match git {
            Some(reason) => {
                self.add("git", State::Unknown, format!("not asked which files it tracks: {}", text::line(&reason)));
            }
            None => self.add("git", State::Well, ""),
        }
    }
}
