//! The ARN of a secret, taken apart in one place.

/// `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:RESOURCE`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretArn<'a> {
    /// The region.
    pub region: &'a str,
    /// The account.
    pub account: &'a str,
    /// The name, with or without the dash and six characters at its end.
    pub resource: &'a str,
}

impl<'a> SecretArn<'a> {
    /// Takes a text apart; `None` where it is no such ARN.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(7, ':');
        let mut next = || parts.next();
        let (arn, _, service) = (next()?, next()?, next()?);
        let (region, account, kind, resource) = (next()?, next()?, next()?, next()?);
        let is_one = arn == "arn" && service == "secretsmanager" && kind == "secret" && !resource.is_empty();
        is_one.then_some(Self { region, account, resource })
    }

    /// The names that the secret can have: the resource without its last dash and what follows, which no random end has twice, and
    /// the resource itself.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let short = self.resource.rsplit_once('-').map(|(short, _)| short).filter(|short| !short.is_empty());
        short.into_iter().chain([self.resource])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_an_arn_are_the_resource_with_and_without_its_end() {
        let names = |resource: &str| {
            let arn = format!("arn:aws:secretsmanager:r:1:secret:{resource}");
            SecretArn::parse(&arn).unwrap().names().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names("app/db-a1B2c3"), ["app/db", "app/db-a1B2c3"]);
        assert_eq!(names("app"), ["app"]);
        assert_eq!(names("-a1B2c3"), ["-a1B2c3"]);
    }

    #[test]
    fn an_arn_of_a_secret_has_seven_parts_and_everything_else_is_none() {
        let whole = "arn:aws-cn:secretsmanager:r:1:secret:app:x/db-a1B2c3";
        let expected = SecretArn { region: "r", account: "1", resource: "app:x/db-a1B2c3" };
        assert_eq!(SecretArn::parse(whole), Some(expected));
        for other in [
            "",
            "app/db",
            "arn:aws:s3:::bucket",
            "arn:aws:secretsmanager:r:1:secret",
            "arn:aws:secretsmanager:r:1:secret:",
            "arn:aws:secretsmanager:r:1:other:x",
            "xarn:aws:secretsmanager:r:1:secret:x",
        ] {
            assert_eq!(SecretArn::parse(other), None, "{other}");
        }
    }
}
