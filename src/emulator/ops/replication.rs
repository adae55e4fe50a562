//! Replication to other regions: real secrets there, kept in step with the primary.

use serde::Deserialize;
use serde_json::json;

use super::{Answer, Call, OnlyId, Refusal, answer};
use crate::emulator::{
    entry,
    secret::{Replica, Secret},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReplicaRegion {
    region: String,
    kms_key_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReplicateSecretToRegions {
    secret_id: Option<String>,
    #[serde(default)]
    add_replica_regions: Vec<ReplicaRegion>,
    #[serde(default)]
    force_overwrite_replica_secret: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RemoveRegionsFromReplication {
    secret_id: Option<String>,
    #[serde(default)]
    remove_replica_regions: Vec<String>,
}

pub(super) fn replicate_secret(call: &Call<'_>, request: ReplicateSecretToRegions) -> Answer {
    if request.add_replica_regions.is_empty() {
        return Err(Refusal::constraint("addReplicaRegions", "have length greater than or equal to 1"));
    }
    must_be_targets(call.region, &request.add_replica_regions)?;
    let id = request.secret_id.as_deref();
    let name = call.read(id, |secret| {
        secret.must_be_live()?;
        secret.must_be_primary(call.region)?;
        Ok(secret.name.to_string())
    })?;
    add(call, &name, request.add_replica_regions, request.force_overwrite_replica_secret)?;
    status(call, &name)
}

pub(super) fn remove_regions(call: &Call<'_>, request: RemoveRegionsFromReplication) -> Answer {
    let name = call.write(request.secret_id.as_deref(), |secret| {
        secret.must_be_live()?;
        secret.must_be_primary(call.region)?;
        secret.replicas.retain(|replica| !request.remove_replica_regions.contains(&replica.region));
        if secret.replicas.is_empty() {
            secret.primary_region = None;
        }
        Ok(secret.name.to_string())
    })?;
    for region in &request.remove_replica_regions {
        let home = call.world.region(call.account, region);
        let mut shelf = home.write();
        if shelf.by_name.get(name.as_str()).is_some_and(|it| it.primary_region.as_deref() == Some(call.region)) {
            shelf.remove(&name);
        }
    }
    status(call, &name)
}

/// Promotes a replica: it keeps its ARN and leaves the primary's list.
pub(super) fn stop_replication(call: &Call<'_>, request: OnlyId) -> Answer {
    let (name, arn, primary) = call.write(request.secret_id.as_deref(), |secret| {
        secret.must_be_live()?;
        if !secret.is_replica(call.region) {
            return Err(Refusal::invalid_request("This operation is only permitted on a replica secret."));
        }
        Ok((secret.name.to_string(), secret.arn.clone(), secret.primary_region.take()))
    })?;
    if let Some(primary) = primary {
        let home = call.world.region(call.account, &primary);
        if let Some(secret) = home.write().by_name.get_mut(name.as_str()) {
            secret.replicas.retain(|replica| replica.region != call.region);
            if secret.replicas.is_empty() {
                secret.primary_region = None;
            }
            secret.touch_changed(call.now);
        }
    }
    answer(&json!({ "ARN": arn }))
}

/// A region cannot be its own replica.
pub(super) fn must_be_targets(primary: &str, regions: &[ReplicaRegion]) -> Result<(), Refusal> {
    if regions.iter().any(|it| it.region == primary || it.region.is_empty()) {
        return Err(Refusal::invalid_parameter("Invalid replica region."));
    }
    Ok(())
}

/// Adds replicas to a secret of the caller's account, and makes them.
pub(super) fn add(call: &Call<'_>, name: &str, regions: Vec<ReplicaRegion>, overwrite: bool) -> Result<(), Refusal> {
    let mut replicas = Vec::new();
    for ReplicaRegion { region, kms_key_id } in regions {
        let failed = obstacle(call, name, &region, overwrite);
        replicas.push(Replica { region, kms_key_id, failed });
    }
    let primary = call.region;
    call.write(Some(name), |secret| {
        secret.replicas.retain(|old| replicas.iter().all(|new| new.region != old.region));
        secret.replicas.append(&mut replicas);
        secret.primary_region = Some(primary.to_owned());
        Ok(())
    })
}

/// What stands in the way of a replica: a secret of that name, or the region being down.
fn obstacle(call: &Call<'_>, name: &str, region: &str, overwrite: bool) -> Option<String> {
    if call.world.is_down(region) {
        return Some("Replication failed: the region does not answer".into());
    }
    let home = call.world.region(call.account, region);
    let shelf = home.read();
    let present = shelf.by_name.get(name)?;
    let ours = present.primary_region.as_deref() == Some(call.region);
    let blocked = !ours && !overwrite;
    blocked.then(|| format!("Replication failed: Secret name {name} already exists in region {region}."))
}

/// Carries the state of a primary to its replicas. Takes one region's lock at a time.
pub(super) fn sync(call: &Call<'_>, account: &str, name: &str) {
    let Some(copies) = copies(call, account, name) else { return };
    for (region, copy) in copies.into_iter().filter(|(region, _)| !call.world.is_down(region)) {
        call.world.region(account, &region).write().insert(copy);
    }
}

fn copies(call: &Call<'_>, account: &str, name: &str) -> Option<Vec<(String, Secret)>> {
    let home = call.world.region(account, call.region);
    let shelf = home.read();
    let primary = shelf.by_name.get(name)?;
    let good = primary.replicas.iter().filter(|replica| replica.failed.is_none());
    Some(good.map(|replica| (replica.region.clone(), copy(primary, replica, call.region))).collect())
}

fn copy(primary: &Secret, replica: &Replica, region: &str) -> Secret {
    let arn = primary.arn.replacen(&format!(":{region}:"), &format!(":{}:", replica.region), 1);
    let mut copy = Secret::new(arn, primary.name.clone(), primary.created);
    copy.changed = primary.changed;
    copy.description.clone_from(&primary.description);
    copy.kind.clone_from(&primary.kind);
    copy.owning_service.clone_from(&primary.owning_service);
    copy.tags.clone_from(&primary.tags);
    copy.policy.clone_from(&primary.policy);
    copy.rotation.clone_from(&primary.rotation);
    (copy.rotated, copy.next_rotation) = (primary.rotated, primary.next_rotation);
    copy.labels = primary.labels.clone();
    copy.versions.clone_from(&primary.versions);
    copy.versions.iter_mut().for_each(|version| version.kms_key_id.clone_from(&replica.kms_key_id));
    copy.kms_key_id.clone_from(&replica.kms_key_id);
    copy.primary_region = Some(region.to_owned());
    copy
}

fn status(call: &Call<'_>, name: &str) -> Answer {
    call.read(Some(name), |secret| {
        answer(&json!({ "ARN": secret.arn, "ReplicationStatus": entry::replication(&secret.replicas) }))
    })
}
