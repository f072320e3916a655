/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;

import java.time.Duration;

/** The keys that a user can set in Flink's configuration. {@link AdapterConfig} reads and checks them. */
public final class HoldfastOptions {

    private static final String PREFIX = "high-availability.holdfast.";

    public static final ConfigOption<String> URL =
            ConfigOptions.key(PREFIX + "url")
                    .stringType()
                    .defaultValue("http://127.0.0.1:8480")
                    .withDescription(
                            "Where a JobManager finds the sidecar beside it: the sidecar's --listen, on loopback.");

    public static final ConfigOption<String> LEADERS_URL =
            ConfigOptions.key(PREFIX + "leaders-url")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "Where TaskManagers and clients read the leader's addresses: the sidecar's --public-listen,"
                                    + " usually behind the JobManager's Service. Unset: the same as '"
                                    + PREFIX
                                    + "url'. A process that takes part in the election reads from there in any case.");

    public static final ConfigOption<Duration> CONNECT_TIMEOUT =
            ConfigOptions.key(PREFIX + "connect-timeout")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(1))
                    .withDescription("Limit of opening a connection to the sidecar.");

    public static final ConfigOption<Duration> REQUEST_TIMEOUT =
            ConfigOptions.key(PREFIX + "request-timeout")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(5))
                    .withDescription("Limit of one attempt of one request; the attempt is then repeated.");

    public static final ConfigOption<Duration> ADD_DEADLINE =
            ConfigOptions.key(PREFIX + "add-deadline")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(30))
                    .withDescription(
                            "How long a checkpoint's registration is repeated while its outcome is unknown. Passed: the"
                                    + " JobManager process is ended, because neither answer would be safe. Keep it well"
                                    + " below 'heartbeat.timeout' and the checkpoint time-out.");

    public static final ConfigOption<Duration> RECOVERY_DEADLINE =
            ConfigOptions.key(PREFIX + "recovery-deadline")
                    .durationType()
                    .defaultValue(Duration.ofMinutes(5))
                    .withDescription(
                            "How long a starting job waits for what it needs to recover. Passed: the JobManager process is"
                                    + " ended, because an exception would make Flink clean up the job's recovery data.");

    public static final ConfigOption<String> MAIN_CLASS =
            ConfigOptions.key("holdfast.main-class")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "The job's own main class, when '"
                                    + HoldfastMain.class.getName()
                                    + "' is the one that Flink is given. The program arguments '"
                                    + HoldfastMain.MAIN_CLASS_ARGUMENT
                                    + " CLASS' come before it.");

    public static final ConfigOption<String> FINGERPRINT =
            ConfigOptions.key("holdfast.fingerprint")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "Anything that changes when the job does, for example the digest of its image. A stored graph that"
                                    + " was made with another one is not used. The Flink version, the job class, its"
                                    + " arguments, the jars and the configuration are compared in any case.");

    private HoldfastOptions() {}
}
