//! Sheets one by one, each on its own: for proving and for confirming, where no quorum is wanted.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::{
    cli::{
        Exit, Failure, quorum,
        sheets::{self, Presented},
        terminal,
    },
    model::Digest,
    share::UntrustedShare,
};

/// A name for people, and the text.
pub(super) type SheetText = (String, Zeroizing<String>);

/// Reads every sheet of the given files and folders; the page and the text of one sheet count once.
pub(super) async fn sheets(paths: &[PathBuf]) -> Result<Vec<SheetText>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() { files.extend(sheets::inside(path)?.0) } else { files.push(path.clone()) }
    }
    let (mut texts, mut seen): (Vec<SheetText>, Vec<Digest>) = (Vec::new(), Vec::new());
    let mut given = Vec::new();
    for file in &files {
        given.extend(presented(file).await?);
    }
    for given in given {
        let digest = UntrustedShare::parse(&given.text).ok().map(|share| share.digest());
        if digest.is_some_and(|digest| seen.contains(&digest)) {
            continue;
        }
        seen.extend(digest);
        texts.push((given.origin, given.text));
    }
    Ok(texts)
}

/// Reads one sheet: a text, a picture, a PDF, or `-` for stdin.
pub(super) async fn sheet(path: &Path) -> Result<SheetText, Failure> {
    let mut texts = presented(path).await?;
    if texts.len() > 1 {
        let message = format!("{} has {} sheets", path.display(), texts.len());
        return Err(Failure::usage(message).hint("read one sheet at a time"));
    }
    let given = texts.pop().ok_or_else(|| Failure::new(Exit::NoQuorum, format!("{} is empty", path.display())))?;
    Ok((given.origin, given.text))
}

async fn presented(path: &Path) -> Result<Vec<Presented>, Failure> {
    if path == Path::new("-") && terminal::is_there() {
        let text = quorum::type_one().await?;
        return Ok(text.into_iter().map(|text| Presented { origin: "the typed sheet".into(), text }).collect());
    }
    sheets::read(path)?.map_err(|unread| {
        let message = format!("{} {}", unread.origin, unread.fault);
        Failure::new(Exit::NoQuorum, message).hint(unread.fault.hint())
    })
}
