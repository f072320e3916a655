/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.apache.flink.runtime.blob.BlobStore;
import org.apache.flink.runtime.blob.BlobStoreService;
import org.apache.flink.runtime.blob.BlobUtils;
import org.apache.flink.runtime.highavailability.HighAvailabilityServices;
import org.apache.flink.runtime.highavailability.JobResultStore;
import org.apache.flink.runtime.leaderelection.DefaultLeaderElectionService;
import org.apache.flink.runtime.leaderelection.LeaderElection;
import org.apache.flink.runtime.leaderretrieval.DefaultLeaderRetrievalService;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalService;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.util.ExceptionUtils;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.Serializable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;

/**
 * What is the same in all Flink versions of the high-availability services; a subclass per API generation adds the rest.
 * (Flink's AbstractHaServices is of no use here: its constructor and its abstract methods differ between versions.)
 *
 * <p>Flink makes one of these in every JobManager, TaskManager and client. There is a sidecar beside a JobManager only,
 * so that the constructor does no I/O and nothing is asked of the sidecar before Flink asks for it.
 */
abstract class BaseHaServices implements HighAvailabilityServices {

    private static final Logger LOG = LoggerFactory.getLogger(BaseHaServices.class);

    final AdapterConfig config;
    final ProcessExit exit = ProcessExit.HALT;
    final LeadershipEpoch epoch = new LeadershipEpoch();
    final DurableCalls calls;

    private final Configuration configuration;
    /** As it was at the start: Flink puts addresses and ids into the other one while it runs. */
    private final Configuration startConfiguration;
    private final Executor ioExecutor;
    private final String process = ProcessToken.find();
    private final SidecarClient sidecar;
    private final SidecarClient publicListener;
    private final LeaderDirectory directory;
    private final DefaultLeaderElectionService election;
    private volatile boolean takesPartInElection;
    private BlobStoreService blobStore;
    private volatile RecoveredGraphs recoveredGraphs;
    private Fingerprint fingerprint;
    private boolean fingerprintKnown;

    BaseHaServices(Configuration configuration, Executor ioExecutor) {
        this.config = AdapterConfig.from(configuration);
        this.configuration = configuration;
        this.startConfiguration = configuration.clone();
        this.ioExecutor = ioExecutor;
        this.sidecar = new SidecarClient(config.sidecarUrl, config.connectTimeoutMs);
        this.publicListener = new SidecarClient(config.leadersUrl, config.connectTimeoutMs);
        this.calls = new DurableCalls(sidecar, config, exit);
        // A JobManager reads beside itself: the Service in front of the public listener leads to it only when it is ready.
        this.directory =
                new LeaderDirectory(() -> takesPartInElection ? sidecar : publicListener, config.requestTimeoutMs);
        this.election =
                new DefaultLeaderElectionService(
                        listener -> new HoldfastElectionDriver(sidecar, config, process, epoch, listener));
    }

    @Override
    public LeaderRetrievalService getResourceManagerLeaderRetriever() {
        return retrieval(directory, Components.RESOURCE_MANAGER);
    }

    @Override
    public LeaderRetrievalService getDispatcherLeaderRetriever() {
        return retrieval(directory, Components.DISPATCHER);
    }

    @Override
    public LeaderRetrievalService getClusterRestEndpointLeaderRetriever() {
        return retrieval(directory, Components.REST_SERVER);
    }

    /** Deprecated by Flink, but still abstract. */
    @Override
    @SuppressWarnings("deprecation")
    public LeaderRetrievalService getJobManagerLeaderRetriever(JobID jobId) {
        return retrieval(directory, Components.ofJob(jobId));
    }

    @Override
    public LeaderRetrievalService getJobManagerLeaderRetriever(JobID jobId, String defaultJobManagerAddress) {
        return retrieval(directory, Components.ofJob(jobId));
    }

    static LeaderRetrievalService retrieval(LeaderDirectory directory, String component) {
        return new DefaultLeaderRetrievalService(
                (handler, fatalErrorHandler) -> directory.retrieve(component, handler, fatalErrorHandler));
    }

    @Override
    public LeaderElection getResourceManagerLeaderElection() {
        return election(Components.RESOURCE_MANAGER);
    }

    @Override
    public LeaderElection getDispatcherLeaderElection() {
        return election(Components.DISPATCHER);
    }

    @Override
    public LeaderElection getClusterRestEndpointLeaderElection() {
        return election(Components.REST_SERVER);
    }

    @Override
    public LeaderElection getJobManagerLeaderElection(JobID jobId) {
        return election(Components.ofJob(jobId));
    }

    /** The session is opened by the first component that registers, not here. */
    private LeaderElection election(String component) {
        takesPartInElection = true;
        return election.createLeaderElection(component);
    }

    /** Flink asks for a new one at every leadership, before it recovers what is stored. */
    final <T extends Serializable> GraphStore<T> graphStore(GraphKind<T> kind) {
        recoveredGraphs = RecoveredGraphs.begin(startConfiguration, this::startRecovered);
        return new GraphStore<>(calls, epoch.captured(), kind, this::fingerprint, recoveredGraphs);
    }

    /**
     * Makes Flink run the job that it recovered, instead of what {@code main()} would do. Until Flink 2.2 there is nothing
     * to do: it runs already.
     */
    void startRecovered(String jobName) throws Exception {}

    /** The same for the life of this process; null when it is unknown. */
    private synchronized Fingerprint fingerprint() {
        if (!fingerprintKnown) {
            fingerprint =
                    new FingerprintSource(
                                    startConfiguration,
                                    CommandLine.ofThisProcess(),
                                    EnvironmentInformation.getVersion())
                            .find();
            fingerprintKnown = true;
            LOG.info("Graphs that are made here have the fingerprint {}", fingerprint);
        }
        return fingerprint;
    }

    @Override
    public JobResultStore getJobResultStore() {
        return new HoldfastJobResultStore(calls, epoch, ioExecutor);
    }

    final Executor ioExecutor() {
        return ioExecutor;
    }

    @Override
    public BlobStore createBlobStore() throws IOException {
        return blobs();
    }

    /** Jars and other blobs lie in the storage directory, through Flink's own FileSystemBlobStore. */
    private synchronized BlobStoreService blobs() throws IOException {
        if (blobStore == null) {
            if (configuration.getOptional(HighAvailabilityOptions.HA_STORAGE_PATH).orElse("").trim().isEmpty()) {
                throw new IllegalConfigurationException(
                        HighAvailabilityOptions.HA_STORAGE_PATH.key()
                                + " is not set; allowed is a directory that every JobManager and TaskManager of this"
                                + " deployment can reach, for example s3://bucket/flink/ha");
            }
            blobStore = BlobUtils.createBlobStoreFromConfig(configuration);
        }
        return blobStore;
    }

    /** Drops the graph and retires the checkpoints of one job; nothing is deleted. Flink repeats it when it fails. */
    @Override
    public CompletableFuture<Void> globalCleanupAsync(JobID jobId, Executor executor) {
        long underEpoch = epoch.newest();
        return CompletableFuture.runAsync(
                () -> cleanUp("/v1/jobs/" + jobId + "/cleanup", underEpoch), executor);
    }

    private void cleanUp(String path, long underEpoch) {
        try {
            calls.shortWrite(SidecarCall.write("POST", path, underEpoch), Problem.UNKNOWN_JOB);
        } catch (SidecarException e) {
            throw new CompletionException(e);
        }
    }

    /**
     * Comes after the leadership was given up, when another process may lead already. The sidecar accepts it for the last
     * epoch only; refused, the blobs are not ours to delete either.
     */
    @Override
    public void cleanupAllData() throws Exception {
        calls.shortWrite(SidecarCall.write("POST", "/v1/cleanup", epoch.newest()));
        LOG.info("Cleaned up under epoch {}", epoch.newest());
        blobs().cleanupAllData();
    }

    @Override
    public void close() throws Exception {
        if (recoveredGraphs != null) {
            recoveredGraphs.end();
        }
        Throwable failure = null;
        for (AutoCloseable part : new AutoCloseable[] {election, this::closeBlobStore, sidecar, publicListener}) {
            try {
                part.close();
            } catch (Exception e) {
                failure = ExceptionUtils.firstOrSuppressed(e, failure);
            }
        }
        if (failure != null) {
            ExceptionUtils.rethrowException(failure, "The high-availability services were not closed properly");
        }
    }

    private synchronized void closeBlobStore() throws IOException {
        if (blobStore != null) {
            blobStore.close();
        }
    }
}
