/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.leaderelection.LeaderElectionDriver;
import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.runtime.leaderelection.LeaderInformationRegister;

import java.util.List;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;

/** What DefaultLeaderElectionService would be told; insists on strict alternation as it does. */
final class RecordingListener implements LeaderElectionDriver.Listener {

    final List<UUID> grants = new CopyOnWriteArrayList<>();
    final List<Throwable> errors = new CopyOnWriteArrayList<>();
    private volatile int revocations;

    /** Flink knows it: a driver has leadership a moment before it says so. */
    synchronized boolean isGranted() {
        return grants.size() > revocations;
    }

    int revocations() {
        return revocations;
    }

    @Override
    public synchronized void onGrantLeadership(UUID leaderSessionId) {
        if (grants.size() != revocations) {
            errors.add(new IllegalStateException("a grant while it leads"));
        }
        grants.add(leaderSessionId);
    }

    @Override
    public synchronized void onRevokeLeadership() {
        revocations++;
        if (grants.size() != revocations) {
            errors.add(new IllegalStateException("a revocation while it does not lead"));
        }
    }

    @Override
    public void onLeaderInformationChange(String componentId, LeaderInformation information) {}

    @Override
    public void onLeaderInformationChange(LeaderInformationRegister register) {}

    @Override
    public void onError(Throwable error) {
        errors.add(error);
    }
}
