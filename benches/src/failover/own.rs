//! Holdfast's own part of a failover, from the sidecar's log.

use jiff::Timestamp;

/// The sidecar's log, from the kill at `kill_ms` on: the time from the moment at which it knew both that the old JobManager
/// was gone and that another one waited, until that one was granted leadership. In milliseconds, rounded.
///
/// Nothing while nobody was granted, or where the sidecar itself was killed and saw no end of a session.
pub(super) fn part_ms(logs: &[String], kill_ms: i64) -> Option<u64> {
    let mut lines: Vec<(Timestamp, &str)> =
        logs.iter().flat_map(|text| text.lines()).filter_map(dated).collect();
    lines.retain(|(at, _)| at.as_millisecond() >= kill_ms);
    lines.sort();
    let event = |name: &str, session: &str| {
        let mark = format!("event=\"{name}\"");
        let of_it = lines.iter().find(|(_, line)| line.contains(&mark) && line.contains(session));
        of_it.copied()
    };
    let (granted, line) = event("granted", "was granted leadership")?;
    let (lost, _) = event("leader-lost", "")?;
    let session = line.split("session ").nth(1)?.split_whitespace().next()?;
    let known = event("session-opened", session).map_or(lost, |(opened, _)| opened.max(lost));
    let micros = granted.as_microsecond() - known.as_microsecond();
    u64::try_from(micros).ok().map(|micros| micros.div_ceil(1000))
}

fn dated(line: &str) -> Option<(Timestamp, &str)> {
    Some((line.split_whitespace().next()?.parse().ok()?, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: &str =
        "2026-01-02T03:04:05.000900Z  INFO session aa of epoch 1 is over event=\"leader-lost\"\n";
    const GRANTED: &str = "2026-01-02T03:04:07.011800Z  INFO session bb was granted leadership under epoch 2 event=\"granted\"\n";
    const KILL_MS: i64 = 1_767_323_045_000;

    fn opened(at: &str) -> String {
        format!("2026-01-02T03:04:{at}Z  INFO session bb opened event=\"session-opened\"\n")
    }

    #[test]
    fn a_jobmanager_that_comes_later_is_granted_from_its_session_on() {
        let log = format!("{LOST}{}{GRANTED}", opened("07.000000"));
        assert_eq!(part_ms(&[log], KILL_MS), Some(12));
    }

    #[test]
    fn a_jobmanager_that_waits_is_granted_from_the_loss_on() {
        let before = opened("01.000000");
        let soon = GRANTED.replace("07.011800", "05.003000");
        assert_eq!(part_ms(&[format!("{before}{LOST}{soon}")], KILL_MS), Some(3));
    }

    #[test]
    fn nothing_is_said_about_what_was_not_seen() {
        assert_eq!(part_ms(&[LOST.to_owned()], KILL_MS), None);
        assert_eq!(part_ms(&[GRANTED.to_owned()], KILL_MS), None);
        assert_eq!(part_ms(&[format!("{LOST}{GRANTED}")], KILL_MS + 60_000), None);
    }
}
