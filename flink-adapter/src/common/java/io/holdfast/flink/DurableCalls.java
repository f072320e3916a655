/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.io.IOException;

/**
 * What the stores ask of the sidecar, with the consequence that Flink's SPI gives to each outcome. Every method returns
 * an answer that is a success or a refusal that its caller named; everything else is an exception, or the end of the
 * process where an exception would lose data.
 */
final class DurableCalls {

    /** Removals and counters: Flink asks again by itself, and holds a lock meanwhile. */
    private static final long SHORT_DEADLINE_MS = 10_000;

    private static final String CLEANED_UP =
            "A start that fails with an exception would make Flink clean up the job's recovery data";
    private static final String ROLLED_BACK_UNSEEN =
            "A job that is rolled back while nobody knows could be continued later from what it rolled back behind";

    private final Attempts attempts;
    private final SidecarClient client;
    private final AdapterConfig config;
    private final ProcessExit exit;

    DurableCalls(SidecarClient client, AdapterConfig config, ProcessExit exit) {
        this.attempts = new Attempts(client, config.requestTimeoutMs);
        this.client = client;
        this.config = config;
        this.exit = exit;
    }

    /**
     * A read or a write without which a job cannot start. Failures that may pass are waited out, because an exception at
     * this point makes Flink mark a job that is being submitted as FAILED and clean up what it could be recovered from
     * (JobMasterServiceLeadershipRunner, ExecutionType SUBMISSION; on 2.3 also PackagedProgramApplication). When the
     * deadline passes the process ends, and its successor tries again.
     *
     * @throws SidecarException a definite refusal other than those given
     */
    SidecarAnswer needed(SidecarCall call, String... answers) throws SidecarException {
        return neededWithin(config.recoveryDeadlineMs, CLEANED_UP, call, answers);
    }

    /** @param otherwise what going on without the answer would do */
    private SidecarAnswer neededWithin(long limitMs, String otherwise, SidecarCall call, String... answers)
            throws SidecarException {
        Attempts.Outcome outcome = attempts.untilDefinite(call, limitMs);
        if (outcome.answer == null && !client.isClosed()) {
            throw exit.end(
                    call + " had no definite answer for " + limitMs + " ms. " + otherwise + "; a new process tries again.",
                    outcome.lastFailure);
        }
        return expect(outcome, call, answers);
    }

    /**
     * The registration of a completed checkpoint: Flink's commit point.
     *
     * <ul>
     *   <li>A definite refusal, or a deadline at which every attempt was certainly not recorded: a plain exception. Flink
     *       deletes the checkpoint's files and counts the failure. Never PossibleInconsistentStateException: it would
     *       keep the files, but still fail the job over to the checkpoint before.
     *   <li>Anything else: the process ends, see {@link ProcessExit}. That includes a refusal after an attempt without an
     *       answer, unless the refusal says what stands in its place: {@code fenced} is about the attempt that was
     *       refused, and the one before may have been recorded before the new epoch was.
     * </ul>
     */
    SidecarAnswer add(SidecarCall call) throws SidecarException {
        Attempts.Outcome outcome = attempts.untilDefinite(call, config.addDeadlineMs);
        boolean success = outcome.answer != null && outcome.answer.problem == null;
        boolean other = outcome.answer != null && outcome.answer.is(Problem.ALREADY_EXISTS);
        if (outcome.maybeRecorded && !success && !other) {
            String why =
                    outcome.answer == null
                            ? "no definite answer within " + config.addDeadlineMs + " ms"
                            : "refused after an attempt that had no answer (" + outcome.answer.problem + ")";
            throw exit.end(
                    "it is unknown whether " + call + " was recorded: " + why
                            + ". Going on could roll the tasks back behind a checkpoint that is restored later.",
                    outcome.lastFailure);
        }
        return expect(outcome, call, Problem.ALREADY_EXISTS);
    }

    /**
     * The registration of the job's graph. Flink answers an exception with the global clean-up of that job
     * (Dispatcher.persistAndRunJob), so that only a definite refusal may be one.
     */
    SidecarAnswer addGraph(SidecarCall call, String... answers) throws SidecarException {
        return neededWithin(config.addDeadlineMs, CLEANED_UP, call, answers);
    }

    /**
     * The plan by which a job that is being submitted starts; null when there is none. Flink answers an exception with the
     * clean-up of the job's recovery data, so that one that cannot be read or understood ends the process.
     *
     * @throws SidecarException a definite refusal
     */
    RestorePlan planOfSubmission(String job, long epoch) throws SidecarException {
        return plan(config.addDeadlineMs, RestorePlan.question(job, epoch));
    }

    /** The same where nothing but the start of this job waits for it. */
    RestorePlan planOfRecovery(String job, long epoch) throws SidecarException {
        return plan(config.recoveryDeadlineMs, RestorePlan.question(job, epoch));
    }

    private RestorePlan plan(long limitMs, SidecarCall call) throws SidecarException {
        SidecarAnswer answer = neededWithin(limitMs, CLEANED_UP, call, Problem.NO_PLAN, Problem.UNKNOWN_JOB);
        if (answer.problem != null) {
            return null;
        }
        try {
            return RestorePlan.parse(answer.json());
        } catch (IOException e) {
            throw exit.end("the answer to " + call + " cannot be understood. " + CLEANED_UP, e);
        }
    }

    /**
     * What must be known before the tasks are restored. Asked for on the JobMaster's main thread while the heartbeats of
     * the TaskManagers wait, hence the add deadline and not the one of a recovery.
     */
    SidecarAnswer restored(SidecarCall call) throws SidecarException {
        return neededWithin(config.addDeadlineMs, ROLLED_BACK_UNSEEN, call);
    }

    /** A write that Flink repeats, or whose failure ends the process in an orderly way: at most the add deadline. */
    SidecarAnswer write(SidecarCall call, String... answers) throws SidecarException {
        return expect(attempts.untilDefinite(call, config.addDeadlineMs), call, answers);
    }

    /** The same for what is done under a lock or is not urgent: at most 10 s. */
    SidecarAnswer shortWrite(SidecarCall call, String... answers) throws SidecarException {
        long limitMs = Math.min(SHORT_DEADLINE_MS, config.addDeadlineMs);
        return expect(attempts.untilDefinite(call, limitMs), call, answers);
    }

    private static SidecarAnswer expect(Attempts.Outcome outcome, SidecarCall call, String... answers)
            throws SidecarException {
        if (outcome.answer == null) {
            throw new SidecarException(call.toString(), outcome.lastFailure);
        }
        if (outcome.answer.problem == null) {
            return outcome.answer;
        }
        for (String problemType : answers) {
            if (outcome.answer.is(problemType)) {
                return outcome.answer;
            }
        }
        throw new SidecarException(call.toString(), outcome.answer.problem);
    }
}
