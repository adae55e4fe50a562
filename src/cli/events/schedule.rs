//! `lifeboat schedule`

use crate::{
    app,
    cli::{Context, Exit, Failure},
    config::{SourceSection, queue_name},
    model::PlaceFilter,
    provider::FeedPlan,
};

/// Of a queue's name, so that `-dead` fits behind it.
const LONGEST: usize = 75;
/// The queue's name where the configuration has none.
const QUEUE: &str = "lifeboat-events";

/// Print what has to be set up so that Lifeboat runs by itself
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Events(EventsArgs),
}

/// Print the rule, the queue and the rights that bring changes to `lifeboat watch`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat schedule events > events.json
  aws cloudformation deploy --stack-name lifeboat-events --template-file events.json \\
    --capabilities CAPABILITY_NAMED_IAM
  lifeboat schedule events --trail   changes of settings and policies too, where there is a trail

Deploy it in the account and region of the source. Then add queue = \"lifeboat-events\" to the
source, and run `lifeboat watch` as a service. Without a trail, AWS tells of values and labels
alone; settings, policies and deletions come with the next `lifeboat snapshot`.")]
pub struct EventsArgs {
    /// The source, where there are several
    #[arg(long, value_name = "ACCOUNT[:REGION]")]
    source: Option<PlaceFilter>,
    /// The queue's name
    #[arg(long, value_name = "NAME", value_parser = queue_name)]
    queue: Option<String>,
    /// Let the trail of CloudTrail tell of changes of settings, policies and deletions too
    #[arg(long)]
    trail: bool,
}

pub(in crate::cli) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let What::Events(args) = args.what;
    let host = context.host()?;
    let estate = host.estate().await?;
    let is_meant = |section: &&SourceSection| args.source.as_ref().is_none_or(|filter| app::may_be(section, filter));
    let meant: Vec<&SourceSection> = estate.sections.iter().filter(is_meant).collect();
    let [section] = meant[..] else {
        let message = if meant.is_empty() { "no such source is configured" } else { "there are several sources" };
        return Err(Failure::usage(message).hint("name one with --source ACCOUNT:REGION; each gets a queue of its own"));
    };
    let feed = section.url.kind().ops().events().ok_or_else(|| {
        Failure::usage(format!("Lifeboat knows of nothing that tells of changes in {}", section.url))
            .hint("run `lifeboat snapshot` as often as is needed")
    })?;
    let queue = args.queue.as_deref().or(section.queue.as_deref()).unwrap_or(QUEUE);
    if queue.len() > LONGEST {
        let message = format!("the queue's name has more than {LONGEST} characters");
        return Err(
            Failure::usage(message).hint("the second queue adds `-dead` to it, and SQS takes 80: choose another")
        );
    }
    let plan = FeedPlan { queue, reader: section.access.role.as_deref(), by_trail: args.trail };
    context.output.artefact(feed.set_up(&plan).trim_end());
    Ok(Exit::Complete)
}
