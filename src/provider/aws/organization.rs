//! The accounts of an AWS organization: asked by its management account, or by a delegated administrator.
//! <https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html>

use aws_config::retry::RetryConfig;
use aws_sdk_organizations::types::{Account, AccountState, AccountStatus};

use super::{Aws, AwsSettings, call::Operation, failure::Failure, sdk_config};
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
    let aws = Aws::connect(settings).await?;
    let retries = RetryConfig::disabled();
    let client = aws_sdk_organizations::config::Builder::from(&config).retry_config(retries).build();
    let client = aws_sdk_organizations::Client::from_conf(client);
    let mut members = Vec::new();
    let mut token = None;
    loop {
        let send = || client.list_accounts().set_next_token(token.clone()).send();
        let page = aws.call(Operation::ListAccounts, None, send).await?;
        members.extend(page.accounts().iter().filter_map(member));
        token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
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
    let bad = || Failure::own(ErrorKind::Unavailable, operation, &region, "BadAnswer", "the answer names no ARN");
    let partition = partition.ok_or_else(bad)?.to_owned();
    Ok(Organization { partition, members })
}

/// An account's `Status` is about to go, and older services have no `State`.
fn member(account: &Account) -> Option<Member> {
    let state = account.state().map(AccountState::as_str);
    let state = state.or_else(|| account.status().map(AccountStatus::as_str)).unwrap_or("UNKNOWN");
    Some(Member {
        account: account.id()?.to_owned(),
        name: account.name().unwrap_or_default().to_owned(),
        state: state.to_owned(),
    })
}
