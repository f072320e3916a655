/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Random;

/** The rules of leadership, without a sidecar. */
class ElectionStateTest {

    private final ElectionState state = new ElectionState();

    @Test
    void aGrantLeadsAndARevocationEndsIt() {
        state.onSession("s");
        assertActions(state.onGrant(3, false), "GRANT 3");
        assertTrue(state.leading());
        assertActions(state.onRevoke(3), "REVOKE");
        assertFalse(state.leading());
    }

    @Test
    void aBrokenConnectionChangesNothingAndIsResumed() {
        state.onSession("s");
        state.onGrant(3, false);
        assertActions(state.onBroken());
        assertTrue(state.leading());
        assertEquals("s", state.session());
        assertEquals(3, state.resumableEpoch());
        state.onSession("s");
        assertActions(state.onGrant(3, true), "REPUBLISH");
        assertTrue(state.leading());
    }

    @Test
    void aResumedSessionThatWasDeposedIsRevokedAndMayBeGrantedAgain() {
        state.onSession("s");
        state.onGrant(3, false);
        state.onBroken();
        assertActions(state.onRevoke(3), "REVOKE");
        assertActions(state.onGrant(5, false), "GRANT 5");
    }

    @Test
    void withoutLeadershipThereIsNothingToResume() {
        assertNull(state.session());
        assertEquals(0, state.resumableEpoch());
        state.onSession("s");
        assertEquals(0, state.resumableEpoch());
        state.onGrant(3, false);
        state.onRevoke(3);
        assertEquals(0, state.resumableEpoch());
    }

    @Test
    void aRevocationOfAnOlderEpochIsLate() {
        state.onGrant(3, false);
        state.onRevoke(3);
        state.onGrant(4, false);
        assertActions(state.onRevoke(3));
        assertTrue(state.leading());
    }

    @Test
    void aRevocationWithoutLeadershipIsNothing() {
        assertActions(state.onRevoke(3));
    }

    /** A sidecar that forgot to revoke first: Flink is told both. */
    @Test
    void aGrantOnTopOfAGrantRevokesFirst() {
        state.onGrant(3, false);
        assertActions(state.onGrant(4, false), "REVOKE", "GRANT 4");
        assertActions(state.onGrant(5, true), "REVOKE", "GRANT 5");
        assertActions(state.onGrant(5, false), "REVOKE", "GRANT 5");
    }

    @Test
    void anEpochNeverGoesBack() {
        state.onGrant(4, false);
        state.onRevoke(4);
        assertActions(state.onGrant(3, false), "DISCONNECT");
        assertActions(state.onGrant(0, false), "DISCONNECT");
        assertFalse(state.leading());
    }

    /** From DefaultLeaderElectionService#onGrantLeadershipInternal and #onRevokeLeadershipInternal. */
    @Test
    void whateverIsSaidGrantsAndRevocationsAlternate() {
        for (long seed = 0; seed < 2_000; seed++) {
            Random random = new Random(seed);
            ElectionState any = new ElectionState();
            boolean leads = false;
            for (int step = 0; step < 40; step++) {
                for (ElectionState.Action action : randomStep(any, random)) {
                    if (action.kind == ElectionState.Kind.GRANT) {
                        assertFalse(leads, "a second grant, seed " + seed);
                        leads = true;
                    } else if (action.kind == ElectionState.Kind.REVOKE) {
                        assertTrue(leads, "a revocation without a grant, seed " + seed);
                        leads = false;
                    }
                }
                assertEquals(leads, any.leading(), "seed " + seed);
            }
        }
    }

    private static List<ElectionState.Action> randomStep(ElectionState state, Random random) {
        long epoch = random.nextInt(6);
        switch (random.nextInt(4)) {
            case 0:
                state.onSession("s" + random.nextInt(3));
                return List.of();
            case 1:
                return state.onGrant(epoch, random.nextBoolean());
            case 2:
                return state.onRevoke(epoch);
            default:
                return state.onBroken();
        }
    }

    private static void assertActions(List<ElectionState.Action> actual, String... expected) {
        assertEquals(List.of(expected).toString(), actual.toString());
    }
}
