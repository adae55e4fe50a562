//! `lifeboat alarms`

use futures::TryStreamExt as _;

use super::{
    Context, Exit, Failure,
    history::{self, CompareArgs, Reach},
    quorum::ShareArgs,
    show,
};
use crate::{
    app::Host,
    config::AlarmsSection,
    model::PlaceFilter,
    provider::{AlarmFormat, Kind, Watched, kinds},
};

/// The log group that the console makes for a trail.
const DEFAULT_LOG_GROUP: &str = "aws-cloudtrail-logs";

/// Print alarms on secrets and on their backup, for CloudWatch and EventBridge
///
/// The page is printed and applied by others: nothing is connected to.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat alarms > alarms.json
  aws cloudformation deploy --stack-name lifeboat-alarms --template-file alarms.json
  lifeboat alarms --format terraform --critical 'orrange-p2p/blockchain/*' > alarms.tf
  lifeboat alarms --format cli --topic arn:aws:sns:eu-central-1:111111111111:oncall | sh

Needs a CloudTrail trail that writes to a log group of CloudWatch Logs. The section [alarms] of the
configuration says what is critical and who may read; a machine without a configuration can print
them too. docs/alarms.md says what each alarm means and what to do.")]
pub struct Args {
    /// How they are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "cloudformation")]
    format: FormatArg,
    /// Watch these secrets by themselves: a name with `*` and `?` (repeat)
    #[arg(long, value_name = "PATTERN")]
    critical: Vec<String>,
    /// A role that may read, by ARN with `*` (repeat): every other reader is an alarm
    #[arg(long, value_name = "ARN")]
    reader: Vec<String>,
    /// Roles that the captured resource policies let in may read, too
    #[arg(long)]
    readers_of_policies: bool,
    /// The log group of the trail
    #[arg(long, value_name = "NAME")]
    log_group: Option<String>,
    /// The topic that is told (default: one that is made)
    #[arg(long, value_name = "ARN")]
    topic: Option<String>,
    /// The role of the backup
    #[arg(long, value_name = "ARN")]
    backup_role: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatArg {
    /// A template of CloudFormation, in JSON
    Cloudformation,
    /// A file of Terraform or OpenTofu
    Terraform,
    /// A script that calls `aws`
    Cli,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = if context.global.config.exists() { Some(context.host()?) } else { None };
    let section = host.as_ref().map(|host| host.config.alarms.clone()).unwrap_or_default();
    let mut watched = of_section(section);
    watched.critical.extend(args.critical);
    watched.readers.extend(args.reader);
    for (given, known) in [(args.topic, &mut watched.topic), (args.backup_role, &mut watched.backup_role)] {
        *known = given.or(known.take());
    }
    watched.log_group = args.log_group.unwrap_or(watched.log_group);
    if let Some(host) = &host {
        let (repository, _) = context.repository(host).await?;
        watched.repository = Some(repository.id().to_string());
        watched.snapshot_hours = host.config.status.snapshot_hours;
        watched.drill_days = host.config.status.drill_days;
        if watched.backup_role.is_none() {
            let mut roles = host.config.sources.listed().iter().filter_map(|section| section.access.role.clone());
            watched.backup_role = roles.next().filter(|_| roles.next().is_none());
        }
    }
    if args.readers_of_policies {
        watched.readers.extend(of_policies(context).await?);
    }
    watched.readers.sort();
    watched.readers.dedup();
    let format = match args.format {
        FormatArg::Cloudformation => AlarmFormat::CloudFormation,
        FormatArg::Terraform => AlarmFormat::Terraform,
        FormatArg::Cli => AlarmFormat::Commands,
    };
    let kind = kind(host.as_ref(), format);
    let page = kind.ops().alarms(&watched, format).ok_or_else(|| {
        Failure::usage(format!("no alarms are known for {}", kind.scheme()))
            .hint("`lifeboat status` says what is wrong")
    })?;
    let page = page.map_err(|bad| Failure::usage(bad.to_string()).hint("see [alarms] in docs/config.md"))?;
    context.output.artefact(&page);
    if watched.readers.is_empty() {
        context
            .output
            .note("nobody is a stranger yet: name the roles that may read with --reader, or readers in [alarms]");
    }
    Ok(Exit::Complete)
}

/// The kind of the sources; where nothing is configured the first that has alarms.
fn kind(host: Option<&Host>, format: AlarmFormat) -> &'static dyn Kind {
    let configured = host.and_then(|host| host.config.sources.listed().first()).map(|section| section.url.kind());
    let has_alarms = |kind: &&'static dyn Kind| kind.ops().alarms(&Watched::default(), format).is_some();
    configured.or_else(|| kinds().find(has_alarms)).expect("every build has a kind with alarms")
}

fn of_section(section: AlarmsSection) -> Watched {
    let AlarmsSection { critical, reads_per_hour, readers, backup_role, backup_hours, log_group, topic, vpc_endpoint } =
        section;
    Watched {
        log_group: log_group.unwrap_or_else(|| DEFAULT_LOG_GROUP.to_owned()),
        topic,
        critical,
        reads_per_hour,
        readers,
        backup_role,
        backup_hours,
        vpc_endpoint,
        ..Watched::default()
    }
}

/// The roles that the resource policies of the newest snapshots let read.
async fn of_policies(context: &Context) -> Result<Vec<String>, Failure> {
    let trusted = show::trusted(context, &ShareArgs::default()).await?;
    let (repository, trust) = (trusted.repository(), trusted.trust());
    let judgement = history::judge(context, repository, trust, &CompareArgs::default(), Reach::Newest).await?;
    let mut roles = Vec::new();
    for place in judgement.chain().newest().into_keys() {
        let Ok(ops) = crate::provider::kind(&place.provider).map(Kind::ops) else { continue };
        let filter = PlaceFilter { account: place.account.clone(), region: Some(place.region.clone()) };
        let chosen = history::find(&judgement, "latest", Some(&filter))?;
        let mut records = std::pin::pin!(repository.record_stream(&chosen, trusted.opener(&chosen)?));
        while let Some(record) = records.try_next().await? {
            roles.extend(ops.known_readers(&record.secret));
        }
    }
    Ok(roles)
}
