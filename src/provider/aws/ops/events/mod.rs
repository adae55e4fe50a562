//! Changes as EventBridge tells of them, from a queue of SQS.

mod message;
mod set_up;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use self::message::Own;
use super::super::{
    Aws,
    call::Operation,
    direct::{Direct, SQS},
    failure::Failure,
    kind::settings,
    sdk_config,
};
use crate::provider::{Address, Connection, ErrorKind, EventFeed, EventQueue, FeedPlan, Message, ProviderError};

/// The most messages that one answer has.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>
const MOST: usize = 10;
/// The longest wait for a message.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// AWS's.
pub(super) struct Feed;

/// A queue of SQS.
struct Queue {
    aws: Aws,
    url: String,
    own: Own,
    receive: Direct,
    remove: Direct,
}

#[async_trait]
impl EventFeed for Feed {
    async fn open(
        &self,
        queue: &str,
        (address, account): (&Address, &str),
        connection: &Connection<'_>,
    ) -> Result<Box<dyn EventQueue>, ProviderError> {
        let settings = settings(address, connection);
        let config = sdk_config(&settings).await?;
        let (endpoint, region) = (settings.endpoint.clone(), settings.region.clone());
        let aws = Aws::connect(settings).await?;
        let direct = |operation| Direct::new(&config, endpoint.as_deref(), SQS, operation);
        let find = direct(Operation::GetQueueUrl)?;
        let asked = json!({ "QueueName": queue });
        let answer = aws.call(Operation::GetQueueUrl, Some(queue), || find.send(asked.clone())).await?;
        let url = answer["QueueUrl"].as_str().filter(|url| !url.is_empty());
        let url = url.ok_or_else(|| bad(Operation::GetQueueUrl, queue, "the answer names no queue"))?.to_owned();
        let (receive, remove) = (direct(Operation::ReceiveMessage)?, direct(Operation::DeleteMessageBatch)?);
        Ok(Box::new(Queue { aws, url, own: Own { account: account.into(), region }, receive, remove }))
    }

    fn set_up(&self, plan: &FeedPlan<'_>) -> String {
        set_up::print(plan)
    }
}

#[async_trait]
impl EventQueue for Queue {
    async fn receive(&self, wait: Duration, hidden: Duration) -> Result<Vec<Message>, ProviderError> {
        let operation = Operation::ReceiveMessage;
        let asked = json!({
            "QueueUrl": self.url,
            "MaxNumberOfMessages": MOST,
            "WaitTimeSeconds": wait.min(LONGEST_WAIT).as_secs(),
            "VisibilityTimeout": hidden.as_secs(),
        });
        let answer = self.aws.call(operation, None, || self.receive.send(asked.clone())).await?;
        messages(&answer, &self.own).map_err(|why| bad(operation, &self.url, why).into())
    }

    async fn remove(&self, receipts: &[String]) -> Result<(), ProviderError> {
        let operation = Operation::DeleteMessageBatch;
        for some in receipts.chunks(MOST) {
            let entries = some.iter().enumerate();
            let entries: Vec<Json> =
                entries.map(|(at, receipt)| json!({ "Id": at.to_string(), "ReceiptHandle": receipt })).collect();
            let asked = json!({ "QueueUrl": self.url, "Entries": entries });
            let answer = self.aws.call(operation, None, || self.remove.send(asked.clone())).await?;
            // Failures of single messages come with status 200.
            let removed = answer["Successful"].as_array().map_or(0, Vec::len);
            if removed != some.len() {
                return Err(bad(operation, &self.url, "some messages were not removed").into());
            }
        }
        Ok(())
    }
}

/// The messages of an answer. None is an answer without the field.
fn messages(answer: &Json, own: &Own) -> Result<Vec<Message>, &'static str> {
    let found = match &answer["Messages"] {
        Json::Null if answer.as_object().is_some_and(serde_json::Map::is_empty) => return Ok(Vec::new()),
        Json::Array(found) => found,
        _ => return Err("the answer has no messages"),
    };
    let of = |message: &Json| {
        let receipt = message["ReceiptHandle"].as_str().filter(|receipt| !receipt.is_empty());
        let (Some(receipt), Some(body)) = (receipt, message["Body"].as_str()) else {
            return Err("a message without a body or a receipt");
        };
        let (told, happened) = message::read(body, own);
        Ok(Message { receipt: receipt.to_owned(), told, happened })
    };
    found.iter().map(of).collect()
}

fn bad(operation: Operation, queue: &str, why: &str) -> Failure {
    Failure::own(ErrorKind::Unavailable, operation, queue, "BadAnswer", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_messages_or_none() {
        let own = Own { account: "111111111111".into(), region: "eu-central-1".into() };
        assert_eq!(messages(&json!({}), &own), Ok(Vec::new()));
        assert_eq!(messages(&json!({ "Messages": [] }), &own), Ok(Vec::new()));
        let found = messages(&json!({ "Messages": [{ "ReceiptHandle": "r", "Body": "x" }] }), &own).unwrap();
        assert_eq!(found.len(), 1);
        let half = [
            json!({ "message": "half" }),
            json!({ "Messages": "none" }),
            json!({ "Messages": [{ "Body": "x" }] }),
            json!({ "Messages": [{ "ReceiptHandle": "r" }] }),
            json!({ "Messages": [{ "ReceiptHandle": "", "Body": "x" }] }),
        ];
        for answer in half {
            assert!(messages(&answer, &own).is_err(), "{answer}");
        }
    }
}
