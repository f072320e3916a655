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
                    + " [--records N=endless] [--name NAME=holdfast-demo]";

    String out;
    double ratePerSecond = 1000;
    long checkpointIntervalMs = 1000;
    long records = Long.MAX_VALUE;
    String name = "holdfast-demo";

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
            default:
                throw new IllegalArgumentException("unknown option " + option + "; " + USAGE);
        }
    }

    private static long positive(String option, String value) {
        try {
            long number = Long.parseLong(value);
            if (number > 0) {
                return number;
            }
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(option + " " + value + " is not a whole number; " + USAGE, e);
        }
        throw new IllegalArgumentException(option + " " + value + " is not greater than 0; " + USAGE);
    }
}
