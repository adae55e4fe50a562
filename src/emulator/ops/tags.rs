//! TagResource and UntagResource.

use serde::Deserialize;

use super::{Answer, Call, Refusal};
use crate::emulator::limits;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagResource {
    secret_id: Option<String>,
    tags: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UntagResource {
    secret_id: Option<String>,
    tag_keys: Option<Vec<String>>,
}

impl Tag {
    pub fn pair(&self) -> (&str, &str) {
        (&self.key, &self.value)
    }

    pub fn into_pair(self) -> (String, String) {
        (self.key, self.value)
    }
}

pub(super) fn tag_resource(call: &Call<'_>, request: TagResource) -> Answer {
    let added = request.tags.ok_or_else(|| Refusal::missing("tags"))?;
    call.write(request.secret_id.as_deref(), |secret| {
        secret.must_be_live()?;
        secret.must_be_primary(call.region)?;
        let mut tags = secret.tags.clone().unwrap_or_default();
        limits::tags(&tags, added.iter().map(Tag::pair))?;
        for (key, value) in added.into_iter().map(Tag::into_pair) {
            match tags.iter_mut().find(|(present, _)| *present == key) {
                Some(tag) => tag.1 = value,
                None => tags.push((key, value)),
            }
        }
        secret.tags = Some(tags);
        Ok(())
    })?;
    Ok(b"{}".to_vec())
}

pub(super) fn untag_resource(call: &Call<'_>, request: UntagResource) -> Answer {
    let keys = request.tag_keys.ok_or_else(|| Refusal::missing("tagKeys"))?;
    call.write(request.secret_id.as_deref(), |secret| {
        secret.must_be_live()?;
        secret.must_be_primary(call.region)?;
        keys.iter().try_for_each(|key| limits::tag_key(key))?;
        if let Some(tags) = &mut secret.tags {
            tags.retain(|(key, _)| !keys.contains(key));
        }
        Ok(())
    })?;
    Ok(b"{}".to_vec())
}
