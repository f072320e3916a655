/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;

class RehearsalTest {

    @Test
    void aJobIsRecoveredInsideTheProcessAndItsClusterIsGoneAfterwards() throws Exception {
        Set<Thread> before = Thread.getAllStackTraces().keySet();
        Rehearsal.run(() -> true);
        Await.until(
                "the threads of the rehearsal's cluster to end",
                () -> newThreads(before).stream().noneMatch(name -> name.contains("pekko") || name.contains("jobmanager")));
    }

    @Test
    void aProcessThatIsGrantedLeadershipMeanwhileRecoversNoMore() throws Exception {
        AtomicInteger asked = new AtomicInteger();
        Rehearsal.run(() -> asked.incrementAndGet() <= 1);
        assertEquals(2, asked.get(), "it went on without asking");
    }

    @Test
    void aProcessThatWasNotAskedToNeverRehearses() throws Exception {
        assertFalse(Boolean.getBoolean(Rehearsal.PROPERTY), "the test's own JVM is asked to rehearse");
        AtomicBoolean asked = new AtomicBoolean();
        Set<Thread> before = Thread.getAllStackTraces().keySet();
        Rehearsal.onWaiting(() -> asked.getAndSet(true));
        assertTrue(newThreads(before).stream().noneMatch(name -> name.contains("rehearsal")));
        assertFalse(asked.get());
    }

    private static Set<String> newThreads(Set<Thread> before) {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> !before.contains(thread))
                .map(Thread::getName)
                .collect(Collectors.toSet());
    }
}
