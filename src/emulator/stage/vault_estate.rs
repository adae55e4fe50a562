//! The same estate in a Vault: keys with a history, written as any client writes them.

use serde_json::{Value as Json, json};

use super::{
    super::VaultControl,
    StageError,
    estate::{API_KEYS, BLOCKCHAIN, DATABASE, LEGACY, random},
};

/// The engine that is filled.
pub(in super::super) const MOUNT: &str = "secret";

/// A Vault of the sandbox.
pub(in super::super) struct VaultEstate {
    control: VaultControl,
}

impl VaultEstate {
    pub(in super::super) fn new(control: VaultControl) -> Self {
        Self { control }
    }

    /// The first day: keys with a history, in every state that a version can be in.
    pub(in super::super) fn seed(&self) -> Result<(), StageError> {
        self.rotate(DATABASE, 7)?;
        self.describe(
            DATABASE,
            &json!({ "custom_metadata": { "team": "platform", "tier": "1" }, "cas_required": false }),
        )?;
        self.rotate(BLOCKCHAIN, 4)?;
        self.turn("destroy", BLOCKCHAIN, &[1])?;
        self.turn("delete", BLOCKCHAIN, &[2])?;
        self.describe(BLOCKCHAIN, &json!({ "custom_metadata": { "team": "chain" }, "max_versions": 5 }))?;
        // More than are kept: the oldest are gone, and the numbers go on.
        self.rotate(API_KEYS, 13)?;
        self.describe(API_KEYS, &json!({ "custom_metadata": { "note": "Payment, KYC and SMS providers — çğıöşü" } }))?;
        self.rotate(LEGACY, 2)?;
        // A key and a folder may have one name.
        self.rotate("orrange-p2p/database", 1)?;
        self.write("orrange-p2p/tls/keystore", &json!({ "pkcs12": hex::encode(random(1800)) }))?;
        self.describe("orrange-p2p/reserved/next-quarter", &json!({ "custom_metadata": { "note": "no value yet" } }))?;
        self.describe("orrange-p2p/temporary/migration", &json!({ "delete_version_after": "720h" }))?;
        self.rotate("orrange-p2p/temporary/migration", 1)?;
        for number in 1..=6 {
            self.rotate(&format!("orrange-p2p/service-{number}/production"), number + 1)?;
        }
        Ok(())
    }

    /// The second day: a rotation, and a version that is deleted.
    pub(super) fn second_day(&self) -> Result<(), StageError> {
        self.rotate(DATABASE, 1)?;
        self.turn("delete", LEGACY, &[2])
    }

    fn rotate(&self, name: &str, times: usize) -> Result<(), StageError> {
        let user = name.split('/').nth(1).unwrap_or(name);
        for _ in 0..times {
            self.write(name, &json!({ "username": user, "password": hex::encode(random(16)), "port": 5432 }))?;
        }
        Ok(())
    }

    fn write(&self, name: &str, data: &Json) -> Result<(), StageError> {
        self.send("data", name, &json!({ "data": data }))
    }

    fn describe(&self, name: &str, fields: &Json) -> Result<(), StageError> {
        self.send("metadata", name, fields)
    }

    fn turn(&self, what: &str, name: &str, versions: &[u64]) -> Result<(), StageError> {
        self.send(what, name, &json!({ "versions": versions }))
    }

    fn send(&self, what: &str, name: &str, body: &Json) -> Result<(), StageError> {
        let sent = self.control.request("POST", &format!("{MOUNT}/{what}/{name}"), body);
        sent.map_err(|error| StageError::Refused(format!("the sandbox could not be filled with secrets: {error}")))?;
        Ok(())
    }
}
