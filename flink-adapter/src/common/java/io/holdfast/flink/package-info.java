/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */

/**
 * High-availability services of Apache Flink that keep everything in the Holdfast sidecar. A client of docs/protocol.md.
 *
 * <p>Where to begin reading: {@link io.holdfast.flink.HoldfastHaServicesFactory} is what Flink loads, and {@code
 * BaseHaServices} is what it gets. Below that:
 *
 * <ul>
 *   <li>the sidecar over HTTP: {@code SidecarClient} (one attempt), {@code Attempts} (until the outcome is known), {@code
 *       DurableCalls} (what an outcome means for Flink), {@code HeldStream} (streams that are kept open);
 *   <li>leadership: {@code ElectionState} (the rules), {@code HoldfastElectionDriver}, {@code LeaderPublisher}, {@code
 *       LeadershipEpoch} (the fencing token of every write);
 *   <li>the leader's addresses: {@code LeaderDirectory};
 *   <li>what a JobManager recovers from: {@code PointerStore}, {@code CheckpointMetadataReader}, {@code
 *       HoldfastCheckpointIDCounter}, {@code GraphStore}, {@code Results};
 *   <li>what a new job starts from: {@code RestorePlan};
 *   <li>failover without {@code main()}: {@code HoldfastMain}, {@code RecoveredGraphs}, {@code Fingerprint} and its source.
 * </ul>
 *
 * <p>Two rules hold everywhere. Flink is told "failed" only when it is certain that nothing was recorded; where that
 * stays unknown the process ends ({@code ProcessExit}). And nothing blocks a thread that holds one of Flink's locks
 * without a limit.
 */
package io.holdfast.flink;
