//! What a new generation restores.

use ha_store::ClaimMode;

use super::{Config, ConfigError, duration_ms};
use crate::planner::{OnBroken, Strategy, Wish};
use crate::settings::Settings;

const TEN_YEARS_MS: u64 = 10 * 366 * super::DAY_MS;

/// What these settings say about it.
pub(crate) fn from_settings(settings: &Settings) -> Result<Wish, ConfigError> {
    let max_age = settings.max_snapshot_age.clone();
    let max_age_ms = match max_age.is_some() {
        true => Some(duration_ms("max-snapshot-age", max_age, 0, 1_000, TEN_YEARS_MS)?),
        false => None,
    };
    Ok(Wish {
        strategy: strategy(settings.restore.as_deref())?,
        max_age_ms,
        allow_non_restored_state: settings.allow_non_restored_state.unwrap_or_default(),
        claim_mode: claim_mode(settings.claim_mode.as_deref())?,
        on_broken: on_broken(settings.on_broken_snapshot.as_deref())?,
    })
}

fn strategy(value: Option<&str>) -> Result<Strategy, ConfigError> {
    let allowed = "latest-state, latest-savepoint, none, or snapshot: with a checkpoint id or a path";
    match value {
        None | Some("latest-state") => Ok(Strategy::LatestState),
        Some("latest-savepoint") => Ok(Strategy::LatestSavepoint),
        Some("none") => Ok(Strategy::None),
        Some(other) => match other.strip_prefix("snapshot:") {
            Some(name) if !name.is_empty() => Ok(Strategy::Snapshot(name.to_owned())),
            _ => Err(ConfigError::new("restore", other.into(), allowed.into())),
        },
    }
}

fn claim_mode(value: Option<&str>) -> Result<Option<ClaimMode>, ConfigError> {
    match value {
        None | Some("auto") => Ok(None),
        Some("claim") => Ok(Some(ClaimMode::Claim)),
        Some("no-claim") => Ok(Some(ClaimMode::NoClaim)),
        Some(other) => Err(ConfigError::new("claim-mode", other.into(), "auto, claim or no-claim".into())),
    }
}

fn on_broken(value: Option<&str>) -> Result<OnBroken, ConfigError> {
    match value {
        None | Some("refuse") => Ok(OnBroken::Refuse),
        Some("previous") => Ok(OnBroken::Previous),
        Some(other) => Err(ConfigError::new("on-broken-snapshot", other.into(), "refuse or previous".into())),
    }
}

/// Puts what is in force where it came from.
pub(super) fn show(config: &Config, settings: &mut Settings) {
    let wish = &config.restore;
    settings.restore = Some(wish.strategy.to_string());
    settings.max_snapshot_age = wish.max_age_ms.map(|ms| format!("{ms}ms"));
    settings.allow_non_restored_state = Some(wish.allow_non_restored_state);
    settings.claim_mode = Some(
        match wish.claim_mode {
            None => "auto",
            Some(ClaimMode::Claim) => "claim",
            Some(ClaimMode::NoClaim) => "no-claim",
        }
        .into(),
    );
    settings.on_broken_snapshot = Some(
        match wish.on_broken {
            OnBroken::Refuse => "refuse",
            OnBroken::Previous => "previous",
        }
        .into(),
    );
    settings.local_root = Some(config.local_root.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_that_does_not_exist_is_refused_with_those_that_do() {
        let error = strategy(Some("latest")).unwrap_err().to_string();
        assert!(error.contains("latest-savepoint") && error.contains("latest"), "{error}");
        assert!(strategy(Some("snapshot:")).is_err());
        assert_eq!(strategy(Some("snapshot:17")).unwrap(), Strategy::Snapshot("17".into()));
    }

    #[test]
    fn what_is_in_force_can_be_written_down_and_read_again() {
        let settings = Settings {
            deployment: Some("d".into()),
            store: Some("memory:///".into()),
            restore: Some("snapshot:s3://b/chk-7".into()),
            max_snapshot_age: Some("3600000ms".into()),
            allow_non_restored_state: Some(true),
            claim_mode: Some("no-claim".into()),
            on_broken_snapshot: Some("previous".into()),
            ..Settings::default()
        };
        let config = Config::try_from(settings).unwrap();
        assert_eq!(from_settings(&Settings::from(&config)).unwrap(), config.restore);
    }
}
