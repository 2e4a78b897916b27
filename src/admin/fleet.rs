//! What operators change holds for all gateways of a fleet: telling them, waiting until all have applied it, naming those that
//! have not; and who they are (`GET /v1/peers`).

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::store::fleet::{Fleet, Member};
use crate::store::shared::{Position, StoreError};

/// How long the others may take. Longer than one that was killed counts as there, so that it is not waited for in vain.
const PATIENCE: Duration = Duration::from_secs(6);

/// What the whole fleet is to hear of a request that changed something here.
#[derive(Debug)]
pub enum Wanted {
    /// The fleet's state has another value.
    State {
        /// Of what.
        name: String,
        /// Which; `None` = none any more.
        value: Option<Vec<u8>>,
        /// The answer waits until all have applied it.
        awaited: bool,
    },
    /// Conversations were moved or unbound.
    Table,
}

/// How far a change has come.
#[derive(Debug, Serialize)]
pub struct Delivery {
    /// Every gateway of the fleet has applied it.
    applied: bool,
    /// Gateways that are there, this one included.
    members: usize,
    /// Those that have not applied it.
    missing: Vec<String>,
    /// Why not.
    why: Option<String>,
}

impl Delivery {
    /// What the audit stream is to know.
    pub fn trouble(&self) -> Option<String> {
        let why = self.why.as_deref().unwrap_or("they have not said so in time");
        (!self.applied).then(|| format!("not applied by {} ({why})", self.missing.join(", ")))
    }
}

/// Tells all gateways, and waits until they have applied it. `None`: this one is alone.
pub async fn deliver(gateway: &Gateway, wanted: Wanted) -> Option<Delivery> {
    let fleet = gateway.fleet()?;
    let (told, awaited) = match wanted {
        Wanted::State { name, value, awaited } => (fleet.order(&name, value).await, awaited),
        Wanted::Table => (fleet.told().await, true),
    };
    Some(match told {
        Ok(position) if awaited => waited(fleet, position).await,
        Ok(_) => Delivery { applied: true, members: fleet.members().len(), missing: Vec::new(), why: None },
        Err(error) => unreached(fleet, &error),
    })
}

async fn waited(fleet: &Fleet, position: Position) -> Delivery {
    let late = fleet.await_applied(position, PATIENCE).await;
    Delivery {
        applied: late.is_empty(),
        members: fleet.members().len(),
        missing: late.iter().map(|member| member.name.clone()).collect(),
        why: (!late.is_empty())
            .then(|| "they have not said so in time, or fell silent without taking their leave".to_owned()),
    }
}

/// It holds here; the others hear of it when the store is back.
fn unreached(fleet: &Fleet, error: &StoreError) -> Delivery {
    let members = fleet.members();
    let silent = fleet.silent();
    let others = members.iter().filter(|member| member.id != fleet.id()).chain(&silent);
    Delivery {
        applied: false,
        members: members.len(),
        missing: others.map(|member| member.name.clone()).collect(),
        why: Some(format!("the store cannot be reached, they hear of it when it is back: {error}")),
    }
}

/// Why this gateway cannot count the conversations of the whole fleet at present.
pub fn uncounted(gateway: &Gateway) -> Option<String> {
    let away = gateway.fleet().filter(|fleet| fleet.is_away());
    away.map(|_| "the store that gateways share is away: what others began meanwhile is not counted".to_owned())
}

/// Gateways of the fleet whose fingerprint key is another one.
pub fn strangers(gateway: &Gateway) -> Vec<String> {
    let members = gateway.fleet().map(Fleet::members).unwrap_or_default();
    members.into_iter().filter(|member| !member.same_key).map(|member| member.name).collect()
}

/// The gateways of the fleet; without one: that there is none.
pub fn peers(gateway: &Gateway) -> Value {
    let Some(fleet) = gateway.fleet() else { return json!({"store": null, "peers": []}) };
    let members = fleet.members();
    let last = members.iter().map(|member| member.applied).max().unwrap_or_default().max(fleet.applied());
    let now = gateway.now().0;
    let view = |member: &Member, is_silent: bool| {
        let is_self = member.id == fleet.id();
        let applied = if is_self { fleet.applied() } else { member.applied };
        json!({
            "name": member.name,
            "id": format!("{:016x}", member.id),
            "self": is_self,
            "version": member.version,
            "up_ms": now.saturating_sub(member.started.0),
            "lag": last.0.saturating_sub(applied.0),
            "last_contact_ms": u64::try_from(member.age.as_millis()).unwrap_or(u64::MAX),
            "same_fingerprint_key": member.same_key,
            "silent": is_silent,
        })
    };
    json!({
        "store": fleet.describe(),
        "away": fleet.is_away(),
        "trouble": fleet.trouble(),
        "pending": fleet.pending(),
        "peers": members.iter().map(|one| view(one, false)).chain(fleet.silent().iter().map(|one| view(one, true))).collect::<Vec<_>>(),
    })
}
