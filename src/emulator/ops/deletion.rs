//! DeleteSecret and RestoreSecret.

use serde::Deserialize;

use super::{Answer, Call, OnlyId, Refusal, answer, dated, named, new_arn};
use crate::emulator::{limits, secret::Secret};

const DAY: i64 = 24 * 60 * 60 * 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteSecret {
    secret_id: Option<String>,
    recovery_window_in_days: Option<i64>,
    #[serde(default)]
    force_delete_without_recovery: Option<bool>,
}

pub(super) fn delete_secret(call: &Call<'_>, request: DeleteSecret) -> Answer {
    let id = limits::secret_id(request.secret_id.as_deref())?;
    let force = request.force_delete_without_recovery.unwrap_or(false);
    if force && request.recovery_window_in_days.is_some() {
        return Err(Refusal::invalid_parameter(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        ));
    }
    let days = request.recovery_window_in_days.unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(Refusal::invalid_parameter(
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        ));
    }
    if force { force_delete(call, id) } else { schedule(call, id, days) }
}

fn schedule(call: &Call<'_>, id: &str, days: i64) -> Answer {
    let deleted = call.write(Some(id), |secret| {
        secret.must_be_live()?;
        may_be_deleted(call, secret)?;
        let date = call.now + days * DAY;
        secret.deleted = Some(date);
        Ok(dated(named(secret), "DeletionDate", date))
    })?;
    answer(&deleted)
}

/// A name that does not exist is deleted with success, under an ARN made up for the answer.
fn force_delete(call: &Call<'_>, id: &str) -> Answer {
    let place = call.place(id)?;
    let mut shelf = place.home.write();
    let body = match shelf.by_name.get(place.name) {
        Some(secret) => {
            call.may_enter(&place, secret)?;
            may_be_deleted(call, secret)?;
            named(secret)
        }
        None if place.arn.is_none() => {
            serde_json::json!({ "ARN": new_arn(call.region, call.account, place.name), "Name": place.name })
        }
        None => return Err(Refusal::no_such_secret()),
    };
    shelf.remove(place.name);
    answer(&dated(body, "DeletionDate", call.now))
}

fn may_be_deleted(call: &Call<'_>, secret: &Secret) -> Result<(), Refusal> {
    secret.must_be_primary(call.region)?;
    secret.must_be_unmanaged()?;
    let regions: Vec<&str> = secret.replicas.iter().map(|replica| replica.region.as_str()).collect();
    if regions.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid_request(format!(
        "You can't delete secret {} that still has replica regions [{}].",
        secret.name,
        regions.join(", ")
    )))
}

pub(super) fn restore_secret(call: &Call<'_>, request: OnlyId) -> Answer {
    let restored = call.write(request.secret_id.as_deref(), |secret| {
        secret.must_be_primary(call.region)?;
        secret.deleted = None;
        Ok(named(secret))
    })?;
    answer(&restored)
}
