/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.demo;

/**
 * The command line of {@link DemoJob}. Read by hand because Flink's {@code ParameterTool} has a different package in 1.20
 * and in 2.x.
 */
final class DemoArguments {

    private static final String USAGE =
            "usage: DemoJob --out DIR [--rate RECORDS_PER_SECOND=1000] [--checkpoint-interval-ms MS=1000]"
                    + " [--records N=endless] [--name NAME=holdfast-demo] [--max-parallelism N=Flink's] [--poison SEQ=none]"
                    + " [--main-sleep-ms MS=0] [--main-fails-if FILE=never]";

    /** No record has this number. */
    static final long NONE = -1;

    String out;
    double ratePerSecond = 1000;
    long checkpointIntervalMs = 1000;
    long records = Long.MAX_VALUE;
    String name = "holdfast-demo";
    /** 0 leaves it to Flink. */
    int maxParallelism;
    long poison = NONE;
    long mainSleepMs;
    /** Null when main() never fails. */
    String mainFailsIf;

    private DemoArguments() {}

    static DemoArguments parse(String[] args) {
        DemoArguments parsed = new DemoArguments();
        if (args.length % 2 != 0) {
            throw new IllegalArgumentException("an option without a value; " + USAGE);
        }
        for (int i = 0; i < args.length; i += 2) {
            parsed.set(args[i], args[i + 1]);
        }
        if (parsed.out == null) {
            throw new IllegalArgumentException("--out is missing; " + USAGE);
        }
        return parsed;
    }

    private void set(String option, String value) {
        switch (option) {
            case "--out":
                out = value;
                break;
            case "--rate":
                ratePerSecond = positive(option, value);
                break;
            case "--checkpoint-interval-ms":
                checkpointIntervalMs = positive(option, value);
                break;
            case "--records":
                records = positive(option, value);
                break;
            case "--name":
                name = value;
                break;
            case "--max-parallelism":
                maxParallelism = Math.toIntExact(positive(option, value));
                break;
            case "--poison":
                poison = notNegative(option, value);
                break;
            case "--main-sleep-ms":
                mainSleepMs = notNegative(option, value);
                break;
            case "--main-fails-if":
                mainFailsIf = value;
                break;
            default:
                throw new IllegalArgumentException("unknown option " + option + "; " + USAGE);
        }
    }

    private static long positive(String option, String value) {
        return atLeast(1, option, value);
    }

    private static long notNegative(String option, String value) {
        return atLeast(0, option, value);
    }

    private static long atLeast(long least, String option, String value) {
        try {
            long number = Long.parseLong(value);
            if (number >= least) {
                return number;
            }
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(option + " " + value + " is not a whole number; " + USAGE, e);
        }
        throw new IllegalArgumentException(option + " " + value + " is less than " + least + "; " + USAGE);
    }
}
