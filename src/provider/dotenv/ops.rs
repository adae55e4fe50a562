//! What belongs to `.env` files beside secrets: who can read them where they lie.

use async_trait::async_trait;

use super::{Examined, examine, examine::Finding as Found, kind::reached};
use crate::{
    provider::{Connection, ErrorKind, Exam, Finding, NoPolicy, Ops, PolicyRequest, ProviderError, State, ops},
    text,
};

/// That of files.
pub struct DotenvOps;

#[async_trait]
impl Ops for DotenvOps {
    /// Which files others can read, which a repository of code has, which hold no plain secret, which cannot be read. No key of
    /// the host is needed: nothing of it is kept.
    async fn beside(&self, exam: &Exam<'_>) -> Vec<Finding> {
        let looked = async { examine(&reached(exam.address, &Connection::plain())?).await };
        match looked.await {
            Ok(examined) => told(examined),
            Err(error) => vec![Finding::failed("files", error)],
        }
    }

    async fn policy(&self, request: &PolicyRequest<'_>) -> Result<String, NoPolicy> {
        let sentence = format!("{} needs no policy: the rights of the files decide", request.address);
        Err(NoPolicy::None { sentence, remedy: "docs/dotenv.md says who should read them" })
    }

    fn remedy(&self, error: &ProviderError) -> Option<String> {
        let words = match error.kind {
            ErrorKind::Denied => {
                "run as a user that can read these files, or leave them out with ?exclude= (docs/dotenv.md)"
            }
            ErrorKind::NotFound => "check the path, and that the disk with the folder is mounted (docs/dotenv.md)",
            ErrorKind::Unavailable => "check the disk of the folder; run again to continue",
            _ => return ops::remedy(error),
        };
        Some(words.to_owned())
    }
}

fn told(examined: Examined) -> Vec<Finding> {
    let Examined { files, findings, git } = examined;
    let mut found = vec![Finding::well("files")];
    if files == 0 {
        let words = "no file has a name that is captured; ?include= names others";
        found.push(Finding::new("files", State::Remark, words));
    }
    for (name, finding) in findings {
        let (state, detail) = match finding {
            Found::Exposed(mode) => {
                let words = format!("mode {mode:04o}: other users can read or change it; chmod go-rwx");
                (State::Wrong, words)
            }
            Found::Tracked => (
                State::Wrong,
                "git tracks it: whoever has the repository has these secrets; change them, then `git rm --cached`"
                    .into(),
            ),
            Found::Encrypted(kind) => {
                (State::Remark, format!("encrypted by {kind}: the backup has these bytes, and not their key"))
            }
            Found::Unreadable(code) => (State::Wrong, format!("it is not captured: {code}")),
        };
        found.push(Finding::new(format!("file {}", text::line(&name)), state, detail));
    }
    found.push(match git {
        Some(reason) => {
            Finding::new("git", State::Unknown, format!("not asked which files it tracks: {}", text::line(&reason)))
        }
        None => Finding::well("git"),
    });
    found
}
