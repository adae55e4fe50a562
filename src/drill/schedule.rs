//! Files that let a drill be held by itself: systemd, cron, GitHub Actions, EventBridge with ECS. Pure.

use serde_json::json;

use super::file::{DrillFile, OpenedBy};
use crate::{model::Digest, outward, text};

/// Who starts the drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// A service and a timer.
    Systemd,
    /// A file for `/etc/cron.d`.
    Cron,
    /// A workflow of GitHub Actions.
    Github,
    /// A task definition of ECS and a schedule of EventBridge.
    Ecs,
}

/// What is to be started, with absolute paths.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The drill file's name.
    pub name: &'a str,
    /// The drill file.
    pub file: &'a DrillFile,
    /// The program.
    pub program: &'a str,
    /// The configuration.
    pub config: &'a str,
    /// Its folder.
    pub folder: &'a str,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A drill that cannot be held by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Custodians do not come by themselves.
    #[error("a drill that needs a quorum cannot run on a schedule; set [open] by = \"canary\"")]
    Quorum,
    /// `every_days` is missing, or no calendar has it.
    #[error(
        "a schedule cannot have every_days = {0}; use 1, 7, 28 to 31 (a month), 90 to 92 (a quarter), 181 to 184 (half a year) \
         or 365"
    )]
    Rhythm(u32),
    /// A name, path, role or region with a character that the files cannot carry.
    #[error(
        "{0:?} has a character that schedulers read in different ways; use only letters, digits and _ - . / : @ + = ,"
    )]
    Word(String),
}

/// Month, day and weekday of a rhythm; the hour is 03.
#[derive(Clone, Copy)]
struct Rhythm {
    systemd: &'static str,
    cron: &'static str,
    events: &'static str,
}

impl Rhythm {
    fn of(days: Option<u32>) -> Result<Self, ScheduleError> {
        let (systemd, cron, events) = match days.unwrap_or(0) {
            1 => ("*-*-*", "* * *", "* * ? *"),
            7 => ("Tue *-*-*", "* * 2", "? * TUE *"),
            28..=31 => ("*-*-02", "2 * *", "2 * ? *"),
            90..=92 => ("*-01,04,07,10-02", "2 1,4,7,10 *", "2 1,4,7,10 ? *"),
            181..=184 => ("*-01,07-02", "2 1,7 *", "2 1,7 ? *"),
            365 | 366 => ("*-01-02", "2 1 *", "2 1 ? *"),
            other => return Err(ScheduleError::Rhythm(other)),
        };
        Ok(Self { systemd, cron, events })
    }
}

/// The files for `job`, the same for the same job.
///
/// # Errors
/// See [`ScheduleError`].
pub fn files(job: &Job<'_>, scheduler: Scheduler) -> Result<Vec<Written>, ScheduleError> {
    if job.file.open.by == OpenedBy::Quorum {
        return Err(ScheduleError::Quorum);
    }
    let target = &job.file.target;
    let given = [&target.role, &target.region, &target.account].into_iter().flatten().map(String::as_str);
    let mut words = [job.name, job.program, job.config, job.folder].into_iter().chain(given);
    if let Some(word) = words.find(|word| !text::is_plain_word(word)) {
        return Err(ScheduleError::Word(word.to_owned()));
    }
    let rhythm = Rhythm::of(job.file.every_days)?;
    Ok(match scheduler {
        Scheduler::Systemd => systemd(job, rhythm),
        Scheduler::Cron => vec![cron(job, rhythm)],
        Scheduler::Github => vec![github(job, rhythm)],
        Scheduler::Ecs => ecs(job, rhythm),
    })
}

fn systemd(job: &Job<'_>, rhythm: Rhythm) -> Vec<Written> {
    let Job { name, program, config, folder, .. } = job;
    let service = format!(
        "\
[Unit]
Description=Lifeboat restore drill {name}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={folder}
ExecStart={program} --config {config} drill run {name} --yes --scheduled
# A stop is a ^C: the drill cleans up its sandbox first.
KillSignal=SIGINT
TimeoutStopSec=30min
LimitCORE=0
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
"
    );
    let timer = format!(
        "\
[Unit]
Description=Lifeboat restore drill {name}, by itself

[Timer]
OnCalendar={calendar} 03:00:00
# Not every sandbox at the same minute.
RandomizedDelaySec=4h
# A turn that the machine slept through is held when it is up again.
Persistent=true

[Install]
WantedBy=timers.target
",
        calendar = rhythm.systemd
    );
    let file = |kind: &str, text| Written { name: format!("lifeboat-drill-{name}.{kind}"), text };
    vec![file("service", service), file("timer", timer)]
}

fn cron(job: &Job<'_>, rhythm: Rhythm) -> Written {
    let Job { name, program, config, folder, .. } = job;
    let minute = Digest::of(format!("{folder}:{name}").as_bytes()).as_bytes()[0] % 60;
    let text = format!(
        "\
# Lifeboat restore drill {name}. The minute is made from its place, so that hosts do not all begin at once.
# cron does not make up for a turn that the machine slept through; `lifeboat status` shows it.
SHELL=/bin/sh
{minute} 3 {when} root cd {folder} && {program} --config {config} drill run {name} --yes --scheduled
",
        when = rhythm.cron
    );
    Written { name: format!("lifeboat-drill-{name}"), text }
}

fn github(job: &Job<'_>, rhythm: Rhythm) -> Written {
    let Job { name, file, .. } = job;
    let target = &file.target;
    let minute = Digest::of(name.as_bytes()).as_bytes()[0] % 60;
    let credentials = match (&target.role, &target.region) {
        (Some(role), Some(region)) => format!(
            "      - uses: aws-actions/configure-aws-credentials@v4\n        with:\n          role-to-assume: {role}\n          aws-region: {region}\n"
        ),
        _ => String::new(),
    };
    let text = format!(
        "\
# Lifeboat restore drill {name}. The repository of this workflow holds lifeboat.toml and drills/{name}.toml; the runner has
# the program, and the keys come from an environment that needs no approval for this workflow.
name: restore drill {name}
on:
  schedule:
    - cron: \"{minute} 3 {when}\"
  workflow_dispatch: {{}}
concurrency: lifeboat-drill
permissions:
  contents: read
  id-token: write
jobs:
  drill:
    runs-on: ubuntu-latest
    environment: lifeboat-drill
    timeout-minutes: 150
    steps:
      - uses: actions/checkout@v4
{credentials}      - name: keys
        run: |
          mkdir -m 700 -p keys
          printf '%s\\n' \"$SIGNER\" > keys/signer
          printf '%s\\n' \"$INDEX_KEY\" > keys/index.age
          printf '%s\\n' \"$DRILL_KEY\" > keys/drill.age
        env:
          SIGNER: ${{{{ secrets.LIFEBOAT_SIGNER }}}}
          INDEX_KEY: ${{{{ secrets.LIFEBOAT_INDEX_KEY }}}}
          DRILL_KEY: ${{{{ secrets.LIFEBOAT_DRILL_KEY }}}}
      - name: drill
        run: lifeboat drill run {name} --yes ${{{{ github.event_name == 'schedule' && '--scheduled' || '' }}}} --html report.html --pdf report.pdf
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: restore-drill-{name}
          path: report.*
          if-no-files-found: ignore
",
        when = rhythm.cron
    );
    Written { name: format!("lifeboat-drill-{name}.yml"), text }
}

fn ecs(job: &Job<'_>, rhythm: Rhythm) -> Vec<Written> {
    let Job { name, file, config, .. } = job;
    let account = file.target.account.as_deref().unwrap_or("ACCOUNT");
    let region = file.target.region.as_deref().unwrap_or("REGION");
    let family = format!("lifeboat-drill-{name}");
    let partition = outward::partition_name(region);
    let task = json!({
        "family": family,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "512",
        "memory": "1024",
        "taskRoleArn": format!("arn:{partition}:iam::{account}:role/lifeboat-drill"),
        "executionRoleArn": format!("arn:{partition}:iam::{account}:role/ecsTaskExecutionRole"),
        "containerDefinitions": [{
            "name": "drill",
            "image": format!("{account}.dkr.{}/lifeboat:latest", outward::host("ecr", region, false, false)),
            "command": ["lifeboat", "--config", config, "drill", "run", name, "--yes", "--scheduled"],
            "essential": true,
            // The longest ECS waits after a stop, for the clean-up.
            "stopTimeout": 120,
            "readonlyRootFilesystem": false,
            "logConfiguration": { "logDriver": "awslogs", "options": {
                "awslogs-group": "/lifeboat/drill", "awslogs-region": region, "awslogs-stream-prefix": name,
            } },
        }],
    });
    let schedule = json!({
        "Name": family,
        "Description": format!("Lifeboat restore drill {name}"),
        "ScheduleExpression": format!("cron(0 3 {})", rhythm.events),
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": { "Mode": "FLEXIBLE", "MaximumWindowInMinutes": 240 },
        "Target": {
            "Arn": format!("arn:{partition}:ecs:{region}:{account}:cluster/lifeboat"),
            "RoleArn": format!("arn:{partition}:iam::{account}:role/lifeboat-drill-scheduler"),
            "EcsParameters": {
                "TaskDefinitionArn": format!("arn:{partition}:ecs:{region}:{account}:task-definition/{family}"),
                "LaunchType": "FARGATE",
                "NetworkConfiguration": { "awsvpcConfiguration": { "Subnets": ["SUBNET"], "AssignPublicIp": "DISABLED" } },
            },
            "RetryPolicy": { "MaximumRetryAttempts": 3 },
        },
    });
    let file = |kind: &str, value: &serde_json::Value| Written {
        name: format!("{family}.{kind}.json"),
        text: serde_json::to_string_pretty(value).expect("it is plain data") + "\n",
    };
    vec![file("task-definition", &task), file("schedule", &schedule)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(by: &str, every: u32) -> DrillFile {
        DrillFile::parse(&format!("scenario = \"s\"\nevery_days = {every}\n[target]\nsandbox = true\n[restore]\nwhat = \"canaries\"\n[open]\nby = {by:?}\n"))
            .unwrap()
    }

    fn written(file: &DrillFile, folder: &str, scheduler: Scheduler) -> Result<Vec<Written>, ScheduleError> {
        let config = format!("{folder}/lifeboat.toml");
        files(&Job { name: "monthly", file, program: "/usr/bin/lifeboat", config: &config, folder }, scheduler)
    }

    #[test]
    fn what_cannot_be_held_by_itself_is_refused() {
        let schedule = |by, every, folder| written(&file(by, every), folder, Scheduler::Systemd);
        assert_eq!(schedule("quorum", 31, "/etc/lifeboat"), Err(ScheduleError::Quorum));
        assert_eq!(schedule("canary", 10, "/etc/lifeboat"), Err(ScheduleError::Rhythm(10)));
        for folder in ["/a b", "/a%b", "/a\"b", "/a$b", "/a\nb", "/a;b", "/a&b"] {
            assert!(matches!(schedule("canary", 31, folder), Err(ScheduleError::Word(_))), "{folder}");
        }
        for scheduler in [Scheduler::Systemd, Scheduler::Cron, Scheduler::Github, Scheduler::Ecs] {
            for part in 0..3 {
                let mut file = file("canary", 31);
                let target = &mut file.target;
                let change = [&mut target.role, &mut target.region, &mut target.account].into_iter().nth(part);
                *change.unwrap() = Some("x\n      - run: curl evil".into());
                assert!(matches!(written(&file, "/etc", scheduler), Err(ScheduleError::Word(_))));
            }
        }
    }

    #[test]
    fn every_rhythm_has_a_calendar_everywhere() {
        for every in [1, 7, 28, 31, 92, 184, 365] {
            for scheduler in [Scheduler::Systemd, Scheduler::Cron, Scheduler::Github, Scheduler::Ecs] {
                let found = written(&file("canary", every), "/etc/lifeboat", scheduler).unwrap();
                assert!(found.iter().all(|file| file.text.ends_with('\n')));
                assert_eq!(found, written(&file("canary", every), "/etc/lifeboat", scheduler).unwrap());
            }
        }
        let timer = &written(&file("canary", 31), "/etc/lifeboat", Scheduler::Systemd).unwrap()[1].text;
        for line in ["OnCalendar=*-*-02 03:00:00", "RandomizedDelaySec=4h", "Persistent=true"] {
            assert!(timer.lines().any(|found| found == line), "{line}");
        }
    }
}
