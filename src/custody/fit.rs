//! What a sheet can show. To be asked before there is a key, and before anybody types a sheet.

use super::{CeremonyError, Contact, pdf, rehearse::MARK};

/// Characters of a custodian's name, of an organisation and of whom to call, at most.
const LONGEST: usize = 80;
/// Characters of a message's quotation, at most.
const QUOTED: usize = 80;

/// A text that people give and a sheet shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Custodian,
    Organisation,
    Call,
    Copy,
}

/// Whether sheets can show these names and this contact.
///
/// # Errors
/// The first that cannot be shown, or is there twice.
pub fn check(custodians: &[String], contact: &Contact) -> Result<(), CeremonyError> {
    check_names(custodians, LONGEST)?;
    check_contact(contact)
}

/// The first of these addresses that a sheet can show; the first of all when none can, so that [`check`] names it.
pub fn copy_to_show(addresses: Vec<String>) -> Option<String> {
    let shown = addresses.iter().position(|address| unfit(Part::Copy, address, usize::MAX).is_none());
    addresses.into_iter().nth(shown.unwrap_or(0))
}

/// The same for a ceremony, whose names may have the mark of a rehearsal before them.
pub(super) fn check_marked(custodians: &[String], contact: &Contact) -> Result<(), CeremonyError> {
    check_names(custodians, MARK.len() + 1 + LONGEST)?;
    check_contact(contact)
}

fn check_names(names: &[String], longest: usize) -> Result<(), CeremonyError> {
    for (position, name) in names.iter().enumerate() {
        check_part(Part::Custodian, name, longest)?;
        if names[..position].contains(name) {
            return Err(CeremonyError::Twice(name.clone()));
        }
    }
    Ok(())
}

fn check_contact(contact: &Contact) -> Result<(), CeremonyError> {
    let parts = [(Part::Organisation, &contact.organisation), (Part::Call, &contact.call), (Part::Copy, &contact.copy)];
    for (part, text) in parts {
        let Some(text) = text else { continue };
        check_part(part, text, if part == Part::Copy { usize::MAX } else { LONGEST })?;
    }
    Ok(())
}

fn check_part(part: Part, text: &str, longest: usize) -> Result<(), CeremonyError> {
    let Some(reason) = unfit(part, text, longest) else { return Ok(()) };
    let mut quoted: String = text.chars().take(QUOTED).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    Err(CeremonyError::Unprintable { what: part.name(), text: quoted, reason })
}

/// Why a sheet cannot show it.
fn unfit(part: Part, text: &str, longest: usize) -> Option<String> {
    let unprintable = || text.chars().find(|c| c.is_control()).or_else(|| pdf::unprintable(part, text));
    let reason = if text.trim().is_empty() {
        "it is empty".to_owned()
    } else if text.chars().count() > longest {
        format!("it is longer than {longest} characters")
    } else if let Some(character) = unprintable() {
        format!("it has {character:?} (U+{:04X}) in it", u32::from(character))
    } else if pdf::has_room(part, text) {
        return None;
    } else {
        "it is wider than its place on the page".to_owned()
    };
    Some(reason)
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Custodian => "custodian name",
            Self::Organisation => "organisation",
            Self::Call => "call",
            Self::Copy => "copy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custody::{Paper, Successor, rehearse};

    fn names(name: &str) -> Vec<String> {
        vec!["Ana".to_owned(), name.to_owned()]
    }

    fn told(custodians: &[String], contact: &Contact) -> String {
        check(custodians, contact).unwrap_err().to_string()
    }

    #[test]
    fn names_of_any_script_are_shown_and_what_no_sheet_can_show_is_named_with_its_reason() {
        let none = Contact::default();
        let scripts = ["Bo", "Đặng 山田", "علی رضا", "Øyvind", "Владимир", "김민준", "../x", "-", "."];
        for good in scripts.into_iter().chain([&*"W".repeat(80), &"字".repeat(80)]) {
            assert!(check(&names(good), &none).is_ok(), "{good}");
        }
        let bad = [
            ("", "it is empty"),
            (" ", "it is empty"),
            ("a\nb", r"it has '\n' (U+000A) in it"),
            ("\u{7}", r"it has '\u{7}' (U+0007) in it"),
            (&*"W".repeat(81), "it is longer than 80 characters"),
            (&*"字".repeat(300), "it is longer than 80 characters"),
            ("Bo 🚀", "it has '🚀' (U+1F680) in it"),
            ("A\u{202e}b", r"it has '\u{202e}' (U+202E) in it"),
        ];
        for (name, reason) in bad {
            let told = told(&names(name), &none);
            assert!(told.starts_with("custodian name ") && told.ends_with(&format!(": {reason}")), "{told}");
            assert!(told.chars().count() < 180, "a message quotes the beginning: {told}");
        }
        assert!(matches!(check(&names("Ana"), &none), Err(CeremonyError::Twice(name)) if name == "Ana"));
        // The mark of a rehearsal does not count: who fits on a sheet fits on one of a rehearsal.
        let (custodians, created) = (names(&"W".repeat(80)), "2026-11-24T05:50:42Z".parse().unwrap());
        rehearse(&Successor { threshold: 2, custodians, created, paper: Paper::A4, contact: none }).unwrap();
    }

    #[test]
    fn what_a_sheet_says_of_whom_to_ask_is_looked_at_the_same_way() {
        let wide = "W".repeat(80);
        let call = |text: &str| Contact { call: Some(text.into()), ..Contact::default() };
        for (text, reason) in [
            ("", "it is empty"),
            ("a\nb", r"it has '\n' (U+000A) in it"),
            (&*"1".repeat(81), "it is longer than 80 characters"),
            ("📞 1", "it has '📞' (U+1F4DE) in it"),
            (&wide, "it is wider than its place on the page"),
        ] {
            let told = told(&names("Bo"), &call(text));
            assert!(told.starts_with("call ") && told.ends_with(reason), "{told}");
        }
        let organisation = Contact { organisation: Some(wide), ..Contact::default() };
        assert!(told(&names("Bo"), &organisation).starts_with("organisation "));
        let good = "Group platform operations on call, day and night, all the year: +49 30 1234567-8";
        assert!(good.len() == 80 && check(&names("Bo"), &call(good)).is_ok());
        assert!(check(&names("Bo"), &call("Дежурный: +7 495 123-45-67")).is_ok());
    }

    #[test]
    fn the_copy_on_a_sheet_is_the_first_that_can_be_read_there() {
        let copy = |text: &str| Contact { copy: Some(text.into()), ..Contact::default() };
        let long = format!("s3://backup/{}", "w".repeat(180));
        for (text, reason) in [("/srv/🚀", "it has '🚀' (U+1F680) in it"), (&*format!("{long}{long}"), "on the page")]
        {
            let told = told(&names("Bo"), &copy(text));
            assert!(told.starts_with("copy ") && told.ends_with(reason), "{told}");
        }
        for good in ["/srv/копия", "/mnt/バックアップ", &long] {
            assert!(check(&names("Bo"), &copy(good)).is_ok(), "{good}");
        }
        let choose = |addresses: &[&str]| copy_to_show(addresses.iter().map(ToString::to_string).collect());
        assert_eq!(choose(&["/srv/🚀", "/srv/копия"]).as_deref(), Some("/srv/копия"));
        assert_eq!(choose(&["/srv/🚀"]).as_deref(), Some("/srv/🚀"), "refused by name, not left out");
        assert_eq!(choose(&[]), None);
    }
}
