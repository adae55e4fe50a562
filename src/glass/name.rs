//! A secret as a person or an application names it.

use crate::model::{Place, Secret, SecretArn};

/// A name, or an ARN of AWS with or without its random end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    given: String,
}

impl Name {
    /// Reads a name. Everything is one; what has the form of a secret's ARN is an ARN.
    pub fn new(given: &str) -> Self {
        Self { given: given.to_owned() }
    }

    fn arn(&self) -> Option<SecretArn<'_>> {
        SecretArn::parse(&self.given)
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// Whether it says itself which source is meant.
    pub fn is_arn(&self) -> bool {
        self.arn().is_some()
    }

    /// Under which names an index may have it.
    pub fn candidates(&self) -> Vec<&str> {
        self.arn().map_or_else(|| vec![self.given.as_str()], |arn| arn.names().collect())
    }

    /// Whether a source can have it.
    pub fn may_be_in(&self, place: &Place) -> bool {
        self.arn().is_none_or(|arn| arn.account == place.account && arn.region == place.region)
    }

    /// Whether a secret of a source is the one that is meant.
    pub fn means(&self, place: &Place, secret: &Secret) -> bool {
        match self.arn() {
            None => secret.name == self.given,
            Some(arn) => self.may_be_in(place) && (secret.id == self.given || secret.name == arn.resource),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:app/db-a1B2c3";

    fn place(region: &str) -> Place {
        Place { provider: "aws".into(), account: "111111111111".into(), region: region.into() }
    }

    fn secret(name: &str, id: &str) -> Secret {
        Secret { name: name.into(), id: id.into(), ..Secret::default() }
    }

    #[test]
    fn a_name_is_a_name_everywhere() {
        let name = Name::new("app/db");
        assert!(!name.is_arn() && name.candidates() == ["app/db"]);
        assert!(name.means(&place("eu-west-1"), &secret("app/db", ARN)));
        assert!(!name.means(&place("eu-west-1"), &secret("app/d", ARN)));
        assert!(!Name::new("arn:aws:iam::1:role/x").is_arn());
    }

    #[test]
    fn an_arn_means_one_source_with_and_without_its_end() {
        for given in [ARN, &ARN[..ARN.len() - 7]] {
            let name = Name::new(given);
            assert!(name.candidates().contains(&"app/db"), "{given}");
            assert!(name.means(&place("eu-west-1"), &secret("app/db", ARN)), "{given}");
            assert!(!name.means(&place("eu-west-2"), &secret("app/db", ARN)), "{given}");
        }
        let other = ARN.replace("a1B2c3", "ZZZZZZ");
        assert!(!Name::new(&other).means(&place("eu-west-1"), &secret("app/db", ARN)), "another incarnation");
        let dashed = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:app-sevens";
        assert_eq!(Name::new(dashed).candidates(), ["app", "app-sevens"]);
    }
}
