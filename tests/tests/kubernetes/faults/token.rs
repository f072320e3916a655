//! The token of a pod is revoked, and the kubelet writes another one into the same file.

use anyhow::{Context, Result, ensure};
use harness::kubernetes::manifests::ACCOUNT;
use harness::wait;
use http::{Method, StatusCode};

use super::{Scene, table};
use crate::world::{LIMIT, World};

pub(super) async fn rotated(world: &World) -> Result<()> {
    let (scene, mut leader, rival) = Scene::with_leader_behind(world).await?;
    let namespace = &scene.deployment.namespace;
    let next = namespace.revocable_token(ACCOUNT, "second").await?;
    namespace.revoke("first").await?;

    let puts = table::lease(Method::PUT);
    let refused = |status: Option<StatusCode>| status == Some(StatusCode::UNAUTHORIZED);
    wait::until("the API server to refuse the old token", LIMIT, async || {
        Ok(scene.proxy.exchanges(&puts).last().filter(|exchange| refused(exchange.status)).map(|_| ()))
    })
    .await?;
    leader.says("401").await?;
    // A newline at its end, as an editor leaves it.
    std::fs::write(&scene.token_file, format!("{next}\n")).context("rotating the token")?;

    leader.is_well("ours").await?;
    scene.renewed(&leader).await?;
    leader.session.add_checkpoint().await?;
    leader.session.require_undisturbed(1)?;
    ensure!(rival.session.epoch().is_err(), "the rival was granted leadership");
    Ok(())
}
