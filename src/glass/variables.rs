//! Which names and values may become variables of a process that is started.

use std::{collections::BTreeSet, fmt};

use super::{Pair, entries::twice};
use crate::text;

/// Bytes of one string of an environment, with its name, the `=` and the end (Linux: `MAX_ARG_STRLEN`, 32 pages of 4 KiB).
pub const LONGEST: usize = 128 << 10;

/// Variables by which somebody who can write a secret would run code of their own: loaders, interpreters, shells, and programs that
/// others start.
const DANGEROUS: [&str; 53] = [
    "BASHOPTS",
    "BASH_ENV",
    "BROWSER",
    "CDPATH",
    "CLASSPATH",
    "EDITOR",
    "ENV",
    "GCONV_PATH",
    "GEM_HOME",
    "GEM_PATH",
    "GIT_ASKPASS",
    "GIT_EDITOR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_PAGER",
    "GIT_PROXY_COMMAND",
    "GIT_TEMPLATE_DIR",
    "GLIBC_TUNABLES",
    "GLOBIGNORE",
    "HOSTALIASES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LESSCLOSE",
    "LESSOPEN",
    "LOCALDOMAIN",
    "LOCPATH",
    "MALLOC_CHECK_",
    "MANPAGER",
    "NIS_PATH",
    "NLSPATH",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "OPENSSL_CONF",
    "PAGER",
    "PATH",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PROMPT_COMMAND",
    "PS4",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "RUBYLIB",
    "RUBYOPT",
    "SHELL",
    "SHELLOPTS",
    "TERMINFO",
    "VISUAL",
    "_JAVA_OPTIONS",
    "ZDOTDIR",
];
const DANGEROUS_BEGINNINGS: [&str; 9] =
    ["BASH_FUNC_", "DOTNET_", "DYLD_", "GIT_CONFIG", "GIT_SSH", "LD_", "NPM_CONFIG_", "PYTHON", "npm_config_"];

/// What a person lets through.
#[derive(Clone, Debug, Default)]
pub struct VariableRules {
    /// Names that are dangerous and wanted all the same.
    pub allowed: Vec<String>,
    /// Whether a variable that is there already is replaced.
    pub replaces: bool,
    /// The variables that the started process gets anyway.
    pub present: BTreeSet<String>,
}

/// Why a name or its value is no variable. It repeats no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The name.
    pub name: String,
    /// Why.
    pub why: Why,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It changes what programs do.
    Dangerous,
    /// Two secrets give it.
    Twice,
    /// It is there already.
    Present,
    /// No variable can have this name.
    Name,
    /// The value has a NUL, which ends a variable.
    Nul,
    /// The value is no text.
    Bytes,
    /// The value is longer than an environment takes: so many bytes, with the name.
    Long(usize),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = text::line(&self.name);
        match self.why {
            Why::Dangerous => write!(f, "{name} changes which code programs run (--allow-name {name} lets it through)"),
            Why::Twice => write!(f, "{name} is given by two secrets (name one of them otherwise: VARIABLE=NAME)"),
            Why::Present => write!(f, "{name} is set already (--override replaces it)"),
            Why::Name if name.is_empty() => f.write_str("an empty key is no name of a variable"),
            Why::Name => write!(f, "{name} is no name of a variable"),
            Why::Nul => write!(f, "the value for {name} has a NUL byte, which no variable can hold"),
            Why::Bytes => write!(f, "the value for {name} is binary, which few programs expect in a variable"),
            Why::Long(bytes) => {
                write!(f, "the value for {name} is too long: {bytes} bytes with its name, {LONGEST} are possible")
            }
        }
    }
}

/// Everything that speaks against giving these to a process.
pub fn unfit(pairs: &[Pair], rules: &VariableRules) -> Vec<Unfit> {
    let reason = |pair: &Pair| {
        let length = pair.name.len() + pair.value.len() + 2;
        if pair.name.is_empty() || pair.name.contains(['=', '\0']) {
            Some(Why::Name)
        } else if is_dangerous(&pair.name) && !rules.allowed.contains(&pair.name) {
            Some(Why::Dangerous)
        } else if pair.value.contains(&0) {
            Some(Why::Nul)
        } else if std::str::from_utf8(&pair.value).is_err() {
            Some(Why::Bytes)
        } else if length > LONGEST {
            Some(Why::Long(length))
        } else if !rules.replaces && rules.present.contains(&pair.name) {
            Some(Why::Present)
        } else {
            None
        }
    };
    let each = pairs.iter().filter_map(|pair| Some(Unfit { name: pair.name.clone(), why: reason(pair)? }));
    each.chain(twice(pairs).map(|name| Unfit { name: name.to_owned(), why: Why::Twice })).collect()
}

fn is_dangerous(name: &str) -> bool {
    DANGEROUS.contains(&name) || DANGEROUS_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn pair(name: &str, value: &[u8]) -> Pair {
        Pair { name: name.into(), value: Zeroizing::new(value.to_vec()), json: None, secret: "s".into() }
    }

    fn judged(name: &str, value: &[u8], rules: &VariableRules) -> Option<Why> {
        unfit(&[pair(name, value)], rules).pop().map(|unfit| unfit.why)
    }

    #[test]
    fn what_runs_code_is_refused_until_it_is_named() {
        let none = VariableRules::default();
        for name in [
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "DYLD_INSERT_LIBRARIES",
            "PATH",
            "NODE_OPTIONS",
            "PYTHONPATH",
            "BASH_ENV",
            "ENV",
            "IFS",
            "PERL5OPT",
            "RUBYOPT",
            "JAVA_TOOL_OPTIONS",
            "GIT_SSH_COMMAND",
            "BASH_FUNC_ls%%",
            "PROMPT_COMMAND",
        ] {
            assert_eq!(judged(name, b"x", &none), Some(Why::Dangerous), "{name}");
            let allowed = VariableRules { allowed: vec![name.to_owned()], ..VariableRules::default() };
            assert_eq!(judged(name, b"x", &allowed), None, "{name}");
        }
        for name in ["host", "DB_PASSWORD", "path", "MY_PATH", "ENVIRONMENT", "a.b", "a-b", "ü"] {
            assert_eq!(judged(name, b"x", &none), None, "{name}");
        }
    }

    #[test]
    fn what_no_variable_can_be_is_named_without_its_value() {
        let none = VariableRules::default();
        assert_eq!(judged("", b"x", &none), Some(Why::Name));
        assert_eq!(judged("a=b", b"x", &none), Some(Why::Name));
        assert_eq!(judged("a", b"hun\0ter2", &none), Some(Why::Nul));
        assert_eq!(judged("a", b"\xff", &none), Some(Why::Bytes));
        let most = LONGEST - 3;
        assert_eq!(judged("a", &vec![b'x'; most], &none), None);
        assert_eq!(judged("a", &vec![b'x'; most + 1], &none), Some(Why::Long(LONGEST + 1)));
        let there = VariableRules { present: ["a".to_owned()].into(), ..VariableRules::default() };
        assert_eq!(judged("a", b"x", &there), Some(Why::Present));
        assert_eq!(judged("a", b"x", &VariableRules { replaces: true, ..there }), None);
        assert_eq!(unfit(&[pair("a", b"1"), pair("a", b"1")], &none).pop().unwrap().why, Why::Twice);
        for unfit in unfit(&[pair("a", b"hun\0ter2"), pair("b", b"hunter2\xff")], &none) {
            assert!(!unfit.to_string().contains("hun"));
        }
    }
}
