//! From the text of a drill file to a drill that can be held. Pure.

use super::file::{DrillFile, OpenedBy, Select, Size, TargetKind, TargetSection, What};
use crate::config::with_suggestion;

/// A drill file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrillFileError {
    /// Not TOML, an unknown key, a missing key, a wrong type.
    #[error("{0}")]
    Syntax(String),
    /// Keys that do not go together.
    #[error("{0}")]
    Meaning(String),
}

impl DrillFile {
    /// Reads the text of a drill file. Unknown keys are refused, with the one that was probably meant.
    ///
    /// # Errors
    /// See [`DrillFileError`].
    pub fn parse(text: &str) -> Result<Self, DrillFileError> {
        let file: Self =
            toml::from_str(text).map_err(|error| DrillFileError::Syntax(with_suggestion(&error.to_string())))?;
        match file.contradiction() {
            Some(contradiction) => Err(DrillFileError::Meaning(contradiction)),
            None => Ok(file),
        }
    }

    /// What does not go together.
    fn contradiction(&self) -> Option<String> {
        let (snapshot, target, restore) = (&self.snapshot, &self.target, &self.restore);
        let account = target.account.is_some() || target.region.is_some() || target.role.is_some();
        let is_served = target.kind == TargetKind::BreakGlass;
        let is_elsewhere = is_served || target.sandbox || target.url.is_some();
        let rules = [
            (self.scenario.trim().is_empty(), "scenario is empty: describe what the drill assumes has happened"),
            (self.every_days == Some(0), "every_days must be at least 1"),
            (!self.time_limit.is_positive(), "time_limit must be above 0"),
            (
                is_served && *target != (TargetSection { kind: target.kind, ..TargetSection::default() }),
                "[target] kind = \"break-glass\" can have nothing beside it: the server answers on this machine alone",
            ),
            (
                is_served && self.open.by != OpenedBy::Quorum,
                "[target] kind = \"break-glass\" needs [open] by = \"quorum\", as the server itself does",
            ),
            (
                !is_served && self.objectives.first_secret.is_some(),
                "[objectives] first_secret needs [target] kind = \"break-glass\"",
            ),
            (target.sandbox && account, "[target] sandbox cannot have an account, region or role"),
            (
                target.url.is_some() && (target.sandbox || account),
                "[target] url cannot have sandbox, account, region or role beside it",
            ),
            (!is_elsewhere && target.account.is_none(), "[target] account is missing (or set sandbox = true, or url)"),
            (!is_elsewhere && target.region.is_none(), "[target] region is missing"),
            (
                target.account.as_ref().is_some_and(|account| !is_account(account)),
                "[target] account must have twelve digits",
            ),
            (
                (snapshot.select == Select::Id) != snapshot.id.is_some(),
                "[snapshot] id and select = \"id\" need each other",
            ),
            (
                (snapshot.select == Select::Time) != snapshot.time.is_some(),
                "[snapshot] time and select = \"time\" need each other",
            ),
            (
                (snapshot.select == Select::Random) != snapshot.last.is_some(),
                "[snapshot] last and select = \"random\" need each other",
            ),
            (snapshot.last == Some(0), "[snapshot] last must be at least 1"),
            (
                (restore.what == What::Sample) != restore.sample.is_some(),
                "[restore] sample and what = \"sample\" need each other",
            ),
            (restore.what != What::Sample && !restore.always.is_empty(), "[restore] always needs what = \"sample\""),
            (
                restore.sample.as_ref().is_some_and(Size::is_impossible),
                "[restore] sample must be a number or \"1%\" to \"100%\"",
            ),
            (
                self.open.by == OpenedBy::Canary && restore.what != What::Canaries,
                "[open] by = \"canary\" opens canaries only: set [restore] what = \"canaries\"",
            ),
            (self.checks.run.is_empty(), "[checks] run is empty: a drill that checks nothing proves nothing"),
            (self.probes.iter().any(|probe| probe.command.is_empty()), "[[probe]] command is empty"),
            (self.notifiers.iter().any(|notifier| notifier.command.is_empty()), "[[notify]] command is empty"),
        ];
        rules.into_iter().find(|(broken, _)| *broken).map(|(_, words)| words.to_owned())
    }
}

impl Size {
    /// How many of a population; at least one of a population that has any.
    pub fn of(&self, population: u64) -> u64 {
        match self {
            Self::Count(count) => (*count).min(population),
            Self::Percent(text) => (population * u64::from(percent(text).unwrap_or(100))).div_ceil(100),
        }
    }

    fn is_impossible(&self) -> bool {
        match self {
            Self::Count(count) => *count == 0,
            Self::Percent(text) => percent(text).is_none_or(|percent| percent == 0 || percent > 100),
        }
    }
}

fn percent(text: &str) -> Option<u8> {
    text.strip_suffix('%')?.trim().parse().ok()
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::Aspect;

    const LEAST: &str = "scenario = \"s\"\n[target]\naccount = \"999999999999\"\nregion = \"eu-west-1\"\n";

    #[test]
    fn the_least_file_has_safe_defaults() {
        let file = DrillFile::parse(LEAST).unwrap();
        assert_eq!((file.open.by, file.restore.what), (OpenedBy::Quorum, What::All));
        assert_eq!(file.checks.run, Aspect::ALL);
        assert_eq!(file.time_limit.as_secs(), 7200);
    }

    #[test]
    fn a_slip_is_answered_with_the_word_that_was_meant() {
        for (text, word) in [
            (format!("{LEAST}regoin = \"x\""), "region"),
            (format!("scenari = \"s\"\n{LEAST}"), "scenario"),
            (format!("{LEAST}[objectives]\nrto_target = \"1h\""), "rto"),
            (format!("{LEAST}[[probe]]\ncomand = []"), "command"),
            (format!("{LEAST}[lost]\nregion = []"), "regions"),
        ] {
            let error = DrillFile::parse(&text).unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean `{word}`")) || word == "rto", "{error}");
        }
        let error = DrillFile::parse(&format!("{LEAST}xyzzy = 1")).unwrap_err().to_string();
        assert!(error.contains("xyzzy") && !error.contains("did you mean"), "{error}");
    }

    #[test]
    fn what_does_not_go_together_is_said() {
        for (more, says) in [
            ("[snapshot]\nselect = \"random\"", "need each other"),
            ("[snapshot]\nid = \"ab\"", "need each other"),
            ("[snapshot]\nselect = \"random\"\nlast = 0", "at least 1"),
            ("[restore]\nwhat = \"sample\"", "need each other"),
            ("[restore]\nwhat = \"sample\"\nsample = 0", "1%"),
            ("[restore]\nwhat = \"sample\"\nsample = \"101%\"", "1%"),
            ("[restore]\nalways = [\"a\"]", "needs what"),
            ("[open]\nby = \"canary\"", "canaries only"),
            ("[checks]\nrun = []", "proves nothing"),
            ("[[probe]]\nname = \"p\"\nsecret = \"s\"\ncommand = []", "command is empty"),
        ] {
            let error = DrillFile::parse(&format!("{LEAST}{more}\n")).unwrap_err();
            assert!(matches!(&error, DrillFileError::Meaning(words) if words.contains(says)), "{more}: {error}");
        }
        for (text, says) in [
            ("scenario = \"s\"\n[target]\nsandbox = true\nregion = \"eu-west-1\"", "cannot have"),
            ("scenario = \"s\"\n[target]\nregion = \"eu-west-1\"", "account is missing"),
            ("scenario = \" \"\n[target]\nsandbox = true", "scenario is empty"),
            ("scenario = \"s\"\n[target]\nkind = \"break-glass\"\nsandbox = true", "nothing beside it"),
            ("scenario = \"s\"\n[target]\nkind = \"break-glass\"\n[open]\nby = \"drill-key\"", "by = \"quorum\""),
            ("scenario = \"s\"\n[target]\nsandbox = true\n[objectives]\nfirst_secret = \"2s\"", "first_secret needs"),
            ("scenario = \"s\"\n[target]\naccount = \"99\"\nregion = \"eu-west-1\"", "twelve"),
            ("scenario = \"s\"", "target"),
            ("scenario = \"s\"\nevery_days = 0\n[target]\nsandbox = true", "every_days"),
            ("scenario = \"s\"\ntime_limit = \"0s\"\n[target]\nsandbox = true", "time_limit"),
        ] {
            let error = DrillFile::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_round_up_and_never_beyond_the_population() {
        for (size, population, expected) in [
            (Size::Count(25), 10, 10),
            (Size::Count(5), 10, 5),
            (Size::Percent("10%".into()), 101, 11),
            (Size::Percent("1%".into()), 3, 1),
            (Size::Percent("100%".into()), 7, 7),
            (Size::Percent("10%".into()), 0, 0),
        ] {
            assert_eq!(size.of(population), expected, "{size:?} of {population}");
        }
    }

    #[test]
    fn the_examples_are_true() {
        for text in [
            include_str!("../../docs/examples/drills/break-glass.toml"),
            include_str!("../../docs/examples/drills/canary.toml"),
            include_str!("../../docs/examples/drills/full.toml"),
            include_str!("../../docs/examples/drills/regional-outage.toml"),
        ] {
            let file = DrillFile::parse(text).unwrap();
            assert!(file.every_days.is_some() && file.objectives.rto.is_some());
        }
    }
}
