//! Files that make Terraform and CloudFormation take over restored secrets. No value is in them: a version is never imported,
//! because its value would be in the tool's state.
//!
//! <https://developer.hashicorp.com/terraform/language/import>,
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html>

use std::io;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::alarms::quoted;
use crate::{
    model::SecretArn,
    provider::{Identifiers, ImportFormat, Imports},
    text,
};

/// Hexadecimal digits that make a changed name one of its own.
const DIGITS: usize = 8;
/// The longest logical id of CloudFormation.
const LONGEST_ID: usize = 255;
/// What AWS adds to a name.
const SUFFIX: usize = "-abcdef".len();

/// Those of AWS Secrets Manager.
pub(super) struct AwsImports;

impl Imports for AwsImports {
    fn write(
        &self,
        format: ImportFormat,
        secrets: &mut Identifiers<'_>,
        output: &mut dyn io::Write,
    ) -> io::Result<u64> {
        match format {
            ImportFormat::Terraform => terraform(secrets, output),
            ImportFormat::CloudFormation => cloudformation(secrets, output),
        }
    }
}

fn terraform(secrets: &mut Identifiers<'_>, output: &mut dyn io::Write) -> io::Result<u64> {
    writeln!(output, "# Restored secrets (lifeboat restore --import-blocks terraform).")?;
    writeln!(output, "# terraform plan -generate-config-out=secrets.tf writes the resources that they need.")?;
    let mut count = 0;
    for arn in secrets {
        let arn = arn?;
        let name = block_name(name_of(&arn)?);
        write!(output, "\nimport {{\n  to = aws_secretsmanager_secret.{name}\n  id = {}\n}}\n", quoted(&arn))?;
        count += 1;
    }
    Ok(count)
}

fn cloudformation(secrets: &mut Identifiers<'_>, output: &mut dyn io::Write) -> io::Result<u64> {
    let mut count = 0;
    write!(output, "[")?;
    for arn in secrets {
        let arn = arn?;
        let resource = json!({
            "ResourceType": "AWS::SecretsManager::Secret",
            "LogicalResourceId": logical_id(name_of(&arn)?),
            "ResourceIdentifier": { "Id": arn },
        });
        write!(output, "{}\n  {}", if count > 0 { "," } else { "" }, text::json(&resource.to_string()))?;
        count += 1;
    }
    writeln!(output, "\n]")?;
    Ok(count)
}

/// The name in an ARN.
fn name_of(arn: &str) -> io::Result<&str> {
    let name = SecretArn::parse(arn).and_then(|arn| arn.resource.get(..arn.resource.len().checked_sub(SUFFIX)?));
    name.ok_or_else(|| io::Error::other("what a restored secret is called is no ARN of a secret"))
}

/// The name of a block: letters, digits, `_` and `-`. One that is changed gets digits of its own, so that no two are one.
fn block_name(name: &str) -> String {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    // One that looks like a changed name is changed as well.
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_fine);
    if is_plain && !name.starts_with("secret_") {
        return name.to_owned();
    }
    let changed: String = name.chars().map(|c| if is_fine(c) { c } else { '_' }).collect();
    format!("secret_{changed}_{}", digits(name))
}

/// A logical id: letters and digits, and the digits of the name, since `a/b` and `ab` would be one.
fn logical_id(name: &str) -> String {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).take(LONGEST_ID - DIGITS - 1).collect();
    format!("S{plain}{}", digits(name))
}

fn digits(name: &str) -> String {
    hex::encode(Sha256::digest(name))[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: ImportFormat, arns: &[&str]) -> io::Result<String> {
        let mut output = Vec::new();
        let mut arns = arns.iter().map(|arn| Ok((*arn).to_owned()));
        AwsImports.write(format, &mut arns, &mut output)?;
        Ok(String::from_utf8(output).unwrap())
    }

    #[test]
    fn no_two_names_are_one() {
        let names = ["a", "a/b", "a_b", "a.b", "ab", "1", "_", "secret_a_b_c14cddc0", "é", "A"];
        let of =
            |make: fn(&str) -> String| names.map(make).into_iter().collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!((of(block_name), of(logical_id)), (names.len(), names.len()));
        assert_eq!(block_name("app-db"), "app-db");
        let long = logical_id(&"x".repeat(600));
        assert!(long.len() == LONGEST_ID && long.chars().all(|c| c.is_ascii_alphanumeric()));
    }

    #[test]
    fn what_is_no_arn_is_refused_and_nothing_breaks_out_of_its_quotes() {
        for bad in ["", "app/db", "arn:aws:secretsmanager:r:1:secret:", "arn:aws:secretsmanager:r:1:secret:short"] {
            assert!(written(ImportFormat::Terraform, &[bad]).is_err(), "{bad}");
        }
        let odd = "arn:aws:secretsmanager:r:1:secret:a\"}\n${x}%{y}\\-abcdef";
        let file = written(ImportFormat::Terraform, &[odd]).unwrap();
        assert_eq!(file.lines().count(), 7, "{file}");
        assert!(file.contains("$${x}%%{y}") && !file.contains("a\"}"), "{file}");
        let file = written(ImportFormat::CloudFormation, &[odd, odd]).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&file).unwrap();
        assert_eq!(parsed[1]["ResourceIdentifier"]["Id"], odd);
        assert_eq!(written(ImportFormat::CloudFormation, &[]).unwrap(), "[\n]\n");
    }
}
