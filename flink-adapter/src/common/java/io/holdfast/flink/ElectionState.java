/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.util.List;

/**
 * What this process believes about its leadership, and what to do about each event of its session stream. Pure: no
 * clock, no threads, no I/O; {@link HoldfastElectionDriver} carries the actions out.
 *
 * <p>Its invariant is Flink's: GRANT and REVOKE alternate strictly, beginning with GRANT. DefaultLeaderElectionService
 * ends the process on a second grant or on a revocation without one.
 */
final class ElectionState {

    enum Kind {
        /** Tell Flink that it leads, under a session id never used before. */
        GRANT,
        /** Tell Flink that it does not lead any more. */
        REVOKE,
        /** Publish the leader's addresses again: the sidecar may have forgotten them. */
        REPUBLISH,
        /** The sidecar said what it must not say; drop the connection. */
        DISCONNECT
    }

    static final class Action {
        final Kind kind;
        /** Of a GRANT; 0 otherwise. */
        final long epoch;

        private Action(Kind kind, long epoch) {
            this.kind = kind;
            this.epoch = epoch;
        }

        static Action of(Kind kind) {
            return new Action(kind, 0);
        }

        static Action grant(long epoch) {
            return new Action(Kind.GRANT, epoch);
        }

        @Override
        public String toString() {
            return kind == Kind.GRANT ? "GRANT " + epoch : kind.toString();
        }
    }

    private static final long NOT_LEADING = 0;

    private String session;
    private long leadingUnder = NOT_LEADING;
    private long newestSeen = NOT_LEADING;

    /** The first line of a stream: the session's id. */
    void onSession(String id) {
        session = id;
    }

    List<Action> onGrant(long epoch, boolean resumed) {
        if (epoch <= NOT_LEADING || epoch < newestSeen) {
            return List.of(Action.of(Kind.DISCONNECT));
        }
        boolean goesOn = resumed && epoch == leadingUnder;
        if (goesOn) {
            return List.of(Action.of(Kind.REPUBLISH));
        }
        boolean wasLeading = leadingUnder != NOT_LEADING;
        leadingUnder = epoch;
        newestSeen = epoch;
        // A grant in place of a revocation and a grant: what Flink does under the old one is fenced, so it has to go.
        return wasLeading ? List.of(Action.of(Kind.REVOKE), Action.grant(epoch)) : List.of(Action.grant(epoch));
    }

    List<Action> onRevoke(long epoch) {
        boolean late = epoch < leadingUnder;
        if (leadingUnder == NOT_LEADING || late) {
            return List.of();
        }
        leadingUnder = NOT_LEADING;
        return List.of(Action.of(Kind.REVOKE));
    }

    /**
     * A broken connection takes no leadership away: the epoch in the store decides, every write is checked against it,
     * and a restart of the sidecar must not restart the job.
     */
    List<Action> onBroken() {
        return List.of();
    }

    boolean leading() {
        return leadingUnder != NOT_LEADING;
    }

    /** The epoch to resume with; 0 when there is nothing to resume. */
    long resumableEpoch() {
        return session == null ? NOT_LEADING : leadingUnder;
    }

    /** Null before the first stream. */
    String session() {
        return session;
    }
}
