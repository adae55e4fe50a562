//! The accounts of an AWS organization: asked by its management account, or by a delegated administrator.
//! <https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html>

use serde::Deserialize;
use serde_json::json;

use super::{
    Aws, AwsSettings,
    call::Operation,
    direct::{Direct, ORGANIZATIONS},
    failure::Failure,
    sdk_config,
};
use crate::provider::{ErrorKind, ProviderError};

/// An organization as it says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// `aws`, `aws-cn`, `aws-us-gov`: the second part of every ARN.
    pub partition: String,
    /// Every account, sorted.
    pub members: Vec<Member>,
}

/// One account of an organization.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its number.
    pub account: String,
    /// Its name.
    pub name: String,
    /// `ACTIVE`, `SUSPENDED`, …
    pub state: String,
}

impl Organization {
    /// The ARN of a role in an account.
    pub fn role(&self, account: &str, name: &str) -> String {
        format!("arn:{}:iam::{account}:role/{}", self.partition, name.trim_start_matches('/'))
    }
}

impl Member {
    /// Whether there is anything to be captured.
    pub fn is_active(&self) -> bool {
        self.state == "ACTIVE"
    }
}

/// Lists the accounts of the organization to which the credentials belong.
///
/// # Errors
/// Any refusal: half a list would leave accounts out silently.
pub async fn organization(settings: AwsSettings) -> Result<Organization, ProviderError> {
    let config = sdk_config(&settings).await?;
    let region = settings.region.clone();
    let operation = Operation::ListAccounts;
    let list = Direct::new(&config, settings.endpoint.as_deref(), ORGANIZATIONS, operation)?;
    let aws = Aws::connect(settings).await?;
    let bad = |operation, what| Failure::own(ErrorKind::Unavailable, operation, &region, "BadAnswer", what);
    let (mut members, mut token) = (Vec::new(), None::<String>);
    loop {
        let request = token.take().map_or(json!({}), |token| json!({ "NextToken": token }));
        let page = aws.call(operation, None, || list.send(request.clone())).await?;
        let page: Page =
            serde_json::from_value(page).map_err(|_| bad(operation, "the answer is no list of accounts"))?;
        members.extend(page.accounts.into_iter().map(Account::member));
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    members.sort();
    members.dedup();
    let operation = Operation::GetCallerIdentity;
    let answer = aws.call(operation, None, || aws.sts.get_caller_identity().send()).await?;
    let partition =
        answer.arn().and_then(|arn| arn.strip_prefix("arn:")?.split(':').next()).filter(|it| !it.is_empty());
    let partition = partition.ok_or_else(|| bad(operation, "the answer names no ARN"))?.to_owned();
    Ok(Organization { partition, members })
}

/// A page of ListAccounts. One without accounts is none: half a list would leave accounts out silently.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    accounts: Vec<Account>,
    next_token: Option<String>,
}

/// `Status` is about to go, and older services have no `State`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Account {
    id: String,
    name: Option<String>,
    state: Option<String>,
    status: Option<String>,
}

impl Account {
    fn member(self) -> Member {
        let state = self.state.or(self.status).unwrap_or_else(|| "UNKNOWN".into());
        Member { account: self.id, name: self.name.unwrap_or_default(), state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_an_id_is_no_account() {
        let page = |text: &str| serde_json::from_str::<Page>(text);
        let found = page(
            r#"{"Accounts":[{"Id":"1","Name":"n","State":"ACTIVE","Status":"x","New":1},{"Id":"2","Name":null}]}"#,
        );
        let members: Vec<Member> = found.unwrap().accounts.into_iter().map(Account::member).collect();
        let member = |account: &str, name: &str, state: &str| Member {
            account: account.into(),
            name: name.into(),
            state: state.into(),
        };
        assert_eq!(members, [member("1", "n", "ACTIVE"), member("2", "", "UNKNOWN")]);
        for text in ["{}", r#"{"Accounts":null}"#, r#"{"Accounts":[{"Name":"n"}]}"#, r#"{"Accounts":[7]}"#] {
            assert!(page(text).is_err(), "{text}");
        }
    }
}
