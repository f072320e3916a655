/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;

/** The names under which the leader's components publish their addresses; the same as with Flink's Kubernetes HA. */
final class Components {

    static final String RESOURCE_MANAGER = "resourcemanager";
    static final String DISPATCHER = "dispatcher";
    static final String REST_SERVER = "restserver";

    private Components() {}

    static String ofJob(JobID jobId) {
        return "job-" + jobId;
    }
}
