//! `env:PATH`, and which files below it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use wildmatch::WildMatch;

use crate::model::Place;

/// Folders below the root that are entered, at most this deep, where nothing is said.
const DEPTH: usize = 8;
/// What is captured where nothing is said.
const INCLUDE: [&str; 2] = [".env", ".env.*"];
/// What is not: examples that go into a repository of code, and the files that editors leave.
const EXCLUDE: [&str; 9] = [
    ".env.example",
    ".env.*.example",
    ".env.sample",
    ".env.*.sample",
    ".env.template",
    ".env.dist",
    ".env.*.tmp",
    ".env.*.swp",
    ".env.*~",
];
/// Folders that are not entered where nothing is said: what is in them was made by other tools.
const FOLDERS: [&str; 2] = [".git", "node_modules"];
const KNOWN: &str = "include, exclude, depth, host";

/// A folder of `.env` files, or one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvAddress {
    /// The folder or the file, as it was given.
    pub path: PathBuf,
    /// Patterns of names, or of paths below the folder where they have a `/`; the default where there are none.
    pub include: Vec<String>,
    /// The same for what is left out, beside the default.
    pub exclude: Vec<String>,
    /// How many folders below one another are entered.
    pub depth: Option<usize>,
    /// What this machine is called in snapshots; its own name without it.
    pub host: Option<String>,
    /// The file, where the address names one.
    pub only: Option<String>,
}

/// Not an address of `.env` files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} (expected env:FOLDER or env:FILE, such as env:/srv/app)")]
pub struct BadEnvAddress(String);

impl EnvAddress {
    /// The folder, without links in its path.
    pub(super) fn root(&self) -> io::Result<PathBuf> {
        let folder = match &self.only {
            Some(_) => self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            None => &self.path,
        };
        let root = std::fs::canonicalize(folder)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
        if root.is_dir() {
            return Ok(root);
        }
        Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{}: not a folder", root.display())))
    }

    /// The same address with an absolute path, which means the same from every working directory.
    #[must_use]
    pub fn absolute(mut self) -> Self {
        if let Ok(path) = std::path::absolute(&self.path) {
            self.path = path;
        }
        self
    }

    /// Whether a place may be what this leads to: the path is the same, and the host where it is given.
    pub fn may_be(&self, place: &Place) -> bool {
        let root = self.root().ok().map(|root| match &self.only {
            Some(only) => root.join(only),
            None => root,
        });
        let path = root.or_else(|| std::path::absolute(&self.path).ok());
        let is_host = self.host.as_ref().is_none_or(|host| *host == place.account);
        is_host && path.is_some_and(|path| path == Path::new(&place.region))
    }

    /// The same folder with everything in it, as far as it is entered.
    pub(super) fn with_everything(&self) -> Self {
        let (include, exclude) = (vec!["*".to_owned()], Vec::new());
        Self { include, exclude, only: None, depth: Some(usize::MAX), ..self.clone() }
    }

    /// Whether a file is meant, by its path below the root.
    pub(super) fn means(&self, name: &str) -> bool {
        if let Some(only) = &self.only {
            return name == only;
        }
        let included = if self.include.is_empty() {
            any(&INCLUDE, name) && !any(&EXCLUDE, name)
        } else {
            any(&self.include, name)
        };
        included && !any(&self.exclude, name)
    }

    /// Whether a folder is entered, by its path below the root.
    pub(super) fn enters(&self, name: &str) -> bool {
        if self.only.is_some() || name.split('/').count() > self.depth.unwrap_or(DEPTH) {
            return false;
        }
        let is_left_out = |pattern: &str| matches(pattern, name) || matches(pattern, &format!("{name}/"));
        !FOLDERS.into_iter().any(|folder| matches(folder, name)) && !self.exclude.iter().any(|it| is_left_out(it))
    }
}

fn any(patterns: &[impl AsRef<str>], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern.as_ref(), name))
}

/// A pattern with a `/` is one of the whole path, another one of the last part.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    let part = if pattern.contains('/') { name } else { name.rsplit('/').next().unwrap_or(name) };
    WildMatch::new(pattern).matches(part)
}

impl FromStr for EnvAddress {
    type Err = BadEnvAddress;

    /// Understands `env:PATH?include=PATTERN&exclude=PATTERN&depth=N&host=NAME`; patterns may be repeated.
    fn from_str(text: &str) -> Result<Self, BadEnvAddress> {
        let bad = |what: &str| BadEnvAddress(what.to_owned());
        let rest = text.strip_prefix("env:").ok_or_else(|| bad("the address does not begin with env:"))?;
        let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() || path.contains('\0') {
            return Err(bad("the address has no path"));
        }
        let mut address = Self {
            path: PathBuf::from(path),
            include: Vec::new(),
            exclude: Vec::new(),
            depth: None,
            host: None,
            only: None,
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if value.is_empty() {
                return Err(BadEnvAddress(format!("{name} has no value")));
            }
            match name {
                "include" => address.include.push(value.to_owned()),
                "exclude" => address.exclude.push(value.to_owned()),
                "depth" => {
                    let depth = value.parse().map_err(|_| BadEnvAddress(format!("depth={value} is not a number")))?;
                    address.depth = Some(depth);
                }
                "host" if is_host(value) => address.host = Some(value.to_owned()),
                "host" => return Err(BadEnvAddress(format!("host={value} is not the name of a machine"))),
                _ => return Err(BadEnvAddress(format!("{name} is not an option; known: {KNOWN}"))),
            }
        }
        if address.path.is_file() {
            let only = address.path.file_name().and_then(|name| name.to_str());
            address.only = Some(only.ok_or_else(|| bad("the name of the file is not UTF-8"))?.to_owned());
            if !(address.include.is_empty() && address.exclude.is_empty() && address.depth.is_none()) {
                return Err(bad("include, exclude and depth need a folder"));
            }
        }
        Ok(address)
    }
}

fn is_host(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

impl fmt::Display for EnvAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "env:{}", self.path.display())?;
        let depth = self.depth.map(|depth| depth.to_string());
        let options =
            self.include.iter().map(|it| ("include", it)).chain(self.exclude.iter().map(|it| ("exclude", it)));
        let options =
            options.chain(depth.iter().map(|it| ("depth", it))).chain(self.host.iter().map(|it| ("host", it)));
        for (at, (name, value)) in options.enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EnvAddress, String> {
        text.parse().map_err(|error: BadEnvAddress| error.to_string())
    }

    #[test]
    fn an_address_reads_back_and_names_its_files() {
        for text in ["env:/srv/app", "env:app", "env:/srv/app?include=*.conf&exclude=old/*&depth=2&host=web-1"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        let plain = parse("env:/srv/app").unwrap();
        for name in [".env", "a/.env", ".env.production", "a/b/.env.local"] {
            assert!(plain.means(name), "{name}");
        }
        for name in ["env", "a.env", ".env.example", "a/.env.prod.sample", ".env.dist", ".envrc", ".env.local~"] {
            assert!(!plain.means(name), "{name}");
        }
        let chosen = parse("env:/srv/app?include=*.conf&include=.env*&exclude=old/*&exclude=.env.ci").unwrap();
        assert!(chosen.means("x/app.conf") && chosen.means(".env.example") && chosen.means("older/.env"));
        assert!(!chosen.means("old/.env") && !chosen.means("a/.env.ci") && !chosen.means("app.json"));
        assert!(plain.enters("a/b") && !plain.enters("a/.git") && !plain.enters("node_modules"));
        assert!(chosen.enters("a") && !parse("env:/a?depth=1").unwrap().enters("a/b"));
        assert!(!parse("env:/a?exclude=cache").unwrap().enters("x/cache"));
    }

    #[test]
    fn what_is_no_address_is_one_sentence() {
        for (text, words) in [
            ("aws:eu-west-1", "does not begin with env:"),
            ("env:", "has no path"),
            ("env:?depth=1", "has no path"),
            ("env:/a?depth=x", "not a number"),
            ("env:/a?depth=", "has no value"),
            ("env:/a?host=a/b", "not the name of a machine"),
            ("env:/a?mode=keys", "not an option"),
        ] {
            let told = parse(text).err().unwrap();
            assert!(told.contains(words), "{text}: {told}");
        }
    }
}
