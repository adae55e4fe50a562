//! UpdateSecretVersionStage.

use serde::Deserialize;

use super::{Answer, Call, Refusal, answer, named};
use crate::emulator::limits;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateSecretVersionStage {
    secret_id: Option<String>,
    version_stage: Option<String>,
    remove_from_version_id: Option<String>,
    move_to_version_id: Option<String>,
}

pub(super) fn update_secret_version_stage(call: &Call<'_>, request: UpdateSecretVersionStage) -> Answer {
    let stage = request.version_stage.ok_or_else(|| Refusal::missing("versionStage"))?;
    limits::length("versionStage", &stage, 1, 256)?;
    let (from, to) = (request.remove_from_version_id, request.move_to_version_id);
    let updated = call.write(request.secret_id.as_deref(), |secret| {
        secret.must_be_live()?;
        secret.must_be_primary(call.region)?;
        secret.must_be_unmanaged()?;
        for id in [&from, &to].into_iter().flatten() {
            if secret.version(id).is_none() {
                return Err(Refusal::not_found(format!(
                    "Secrets Manager can't find the specified secret value for VersionId: {id}"
                )));
            }
        }
        secret.labels.update(&stage, from.as_deref(), to.as_deref())?;
        Ok(named(secret))
    })?;
    answer(&updated)
}
