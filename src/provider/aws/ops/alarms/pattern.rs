//! Filter patterns for lines of JSON.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html>

use super::BadAlarm;

/// A condition, in brackets.
pub(super) struct Pattern(String);

impl Pattern {
    pub(super) fn and(mut self, other: &Self) -> Self {
        // `a && b && c` needs no brackets of its own.
        self.0.push_str(" && ");
        self.0.push_str(&other.0);
        self
    }

    /// In brackets, to be one of several.
    pub(super) fn grouped(self) -> Self {
        Self(format!("({})", self.0))
    }

    pub(super) fn text(self) -> String {
        format!("{{ {} }}", self.0)
    }
}

/// One of these holds.
pub(super) fn any(patterns: impl IntoIterator<Item = Pattern>) -> Pattern {
    let texts: Vec<String> = patterns.into_iter().map(|pattern| pattern.0).collect();
    Pattern(format!("({})", texts.join(" || ")))
}

/// A field has this value; `*` stands for anything.
pub(super) fn equal(field: &str, value: &str) -> Result<Pattern, BadAlarm> {
    Ok(Pattern(format!("($.{field} = \"{}\")", words(value)?)))
}

/// A field has another value, or none.
pub(super) fn unequal(field: &str, value: &str) -> Result<Pattern, BadAlarm> {
    Ok(Pattern(format!("($.{field} != \"{}\")", words(value)?)))
}

pub(super) fn exists(field: &str) -> Pattern {
    Pattern(format!("($.{field} = \"*\")"))
}

pub(super) fn missing(field: &str) -> Pattern {
    Pattern(format!("($.{field} NOT EXISTS)"))
}

/// Our own sentences have spaces, and nothing that ends a string.
fn words(value: &str) -> Result<&str, BadAlarm> {
    if value == "*secret because it was marked for deletion*" { Ok(value) } else { plain(value) }
}

/// What names and ARNs are made of, and `*`: a quotation mark within a string cannot be written in every place that a filter
/// is pasted into.
pub(super) fn plain(value: &str) -> Result<&str, BadAlarm> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/_+=.@:,-*#".contains(c);
    if value.is_empty() || !value.chars().all(is_plain) {
        return Err(BadAlarm::Character(value.to_owned()));
    }
    Ok(value)
}
