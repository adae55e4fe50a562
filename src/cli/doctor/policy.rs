//! The least policies, in the language of their kind.

use super::{Args, Context, Exit, Failure, Host, Role};
use crate::{
    config::Sources,
    hooks::Hook,
    provider::{Address, Entries, PolicyRequest, kinds},
};

/// Prints the policy for `wanted`.
pub(super) async fn print(context: &Context, args: &Args, wanted: &str) -> Result<Exit, Failure> {
    let role = match wanted {
        "sources" => return print_entry(context),
        "hooks" => return print_hooks(context, args).await,
        "backup" => Role::Backup,
        "restore" => Role::Restore,
        "access" => Role::Access,
        "consumers" => Role::Consumers,
        _ => Role::Drill,
    };
    let host = if context.global.config.exists() { Some(context.host()?) } else { None };
    let source = host.as_ref().and_then(|host| host.config.sources.listed().first());
    let of_source = matches!(role, Role::Backup | Role::Access | Role::Consumers);
    let pages = match (&args.to, role, &host, source) {
        (Some(to), _, _, source) => {
            let configured = source.and_then(|source| source.account.clone()).filter(|_| of_source);
            of(args, role, to, configured).await?
        }
        (None, Role::Backup, Some(host), Some(source)) if source.url.kind().ops().has_policy_of_each() => {
            of_each(args, host, source.url.kind().scheme()).await?
        }
        (None, Role::Backup | Role::Access | Role::Consumers, _, Some(source)) => {
            of(args, role, &source.url, source.account.clone()).await?
        }
        _ => return Err(Failure::usage("the region of the policy is missing").hint("use --to aws:REGION")),
    };
    context.output.artefact(&pages);
    Ok(Exit::Complete)
}

async fn of(args: &Args, role: Role, address: &Address, configured: Option<String>) -> Result<String, Failure> {
    let request = PolicyRequest {
        role,
        address,
        account: args.account.clone().or(configured),
        name_prefix: &args.name_prefix,
        keys: &args.keys,
        rotation: args.rotation,
        replication: args.replication,
        promotion: args.promotion,
        replace: args.replace,
        mfa: args.mfa,
        vpc_endpoints: &args.vpc_endpoints,
    };
    Ok(address.kind().ops().policy(&request).await?)
}

/// The policy of every source of a kind.
async fn of_each(args: &Args, host: &Host, scheme: &str) -> Result<String, Failure> {
    let mut pages = String::new();
    for section in host.estate().await?.sections.iter().filter(|it| it.url.kind().scheme() == scheme) {
        pages.push_str(&of(args, Role::Backup, &section.url, section.account.clone()).await?);
    }
    Ok(pages)
}

/// The policy of those who restore, for the hooks of the configuration that deploy again.
async fn print_hooks(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let region = args.to.as_ref().and_then(Address::region);
    let mut workloads = Vec::new();
    let mut first = None;
    for section in &host.config.hooks {
        // Only those that act on a provider need a region.
        if let Some((workload, address)) = Hook::new(section.clone(), region)?.workload {
            workloads.push((address.region().unwrap_or_default().to_owned(), workload));
            first.get_or_insert(address);
        }
    }
    let none = || Failure::usage("no hook of the configuration needs a policy").hint("docs/config.md shows [[after]]");
    let address = first.ok_or_else(none)?;
    let redeployer = address.kind().ops().redeployer().ok_or_else(none)?;
    let listed = host.config.sources.listed();
    let account = match args.account.clone().or_else(|| listed.first()?.account.clone()) {
        Some(account) => account,
        None => address.account().await?,
    };
    context.output.artefact(&redeployer.policy(&account, &workloads, (args.mfa, &args.vpc_endpoints)));
    Ok(Exit::Complete)
}

/// The policy of a host whose sources are entered by roles.
fn print_entry(context: &Context) -> Result<Exit, Failure> {
    let sources = context.host()?.config.sources;
    let roles: Vec<String> = sources.listed().iter().filter_map(|section| section.access.role.clone()).collect();
    let (kind, organization) = match &sources {
        Sources::Organization(section) => {
            let kind = kinds().find(|kind| kind.has_organizations());
            (kind, Some((section.role.as_str(), section.accounts.as_slice())))
        }
        listed => {
            let with_role = listed.listed().iter().find(|section| section.access.role.is_some());
            (with_role.map(|section| section.url.kind()), None)
        }
    };
    let policy = kind.and_then(|kind| kind.ops().entry_policy(&Entries { roles: &roles, organization }));
    let none = || Failure::usage("no source has a role").hint("use lifeboat doctor --policy backup");
    context.output.artefact(&policy.ok_or_else(none)?);
    Ok(Exit::Complete)
}
