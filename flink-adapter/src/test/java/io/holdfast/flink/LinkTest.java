/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.io.InputStream;
import java.lang.invoke.MethodType;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Every class, method and field that the jar refers to exists in this Flink. The jar is compiled against one version of
 * each generation only, and the JVM would notice a difference only when it gets there.
 */
class LinkTest {

    private static final String OURS = "io.holdfast.flink.";
    private final ClassLoader loader = getClass().getClassLoader();

    @Test
    void everythingThatIsReferredToExists() throws Exception {
        List<String> missing = new ArrayList<>();
        Set<String> seen = new HashSet<>();
        // The classes of other generations are named by strings only, so that they are not reached from these.
        Deque<String> open =
                new ArrayDeque<>(
                        List.of(
                                HoldfastHaServicesFactory.class.getName(),
                                Generation.HA_SERVICES,
                                TrainingJob.class.getName()));
        int members = 0;
        while (!open.isEmpty()) {
            String name = open.pop();
            if (!seen.add(name)) {
                continue;
            }
            ClassReferences references = read(name);
            for (String referred : references.classes) {
                if (referred.startsWith(OURS)) {
                    open.push(referred);
                } else if (load(referred) == null) {
                    missing.add(name + " refers to the class " + referred);
                }
            }
            for (ClassReferences.Member member : references.members) {
                members++;
                if (!exists(member)) {
                    missing.add(name + " refers to " + member);
                }
            }
        }
        assertEquals(List.of(), missing);
        assertTrue(seen.size() > 40 && members > 800, seen.size() + " classes and " + members + " members");
    }

    private ClassReferences read(String className) throws Exception {
        try (InputStream in = loader.getResourceAsStream(className.replace('.', '/') + ".class")) {
            return ClassReferences.of(in);
        }
    }

    private boolean exists(ClassReferences.Member member) {
        Class<?> owner = load(member.owner);
        if (owner == null) {
            return false;
        }
        if (!member.isMethod()) {
            return hasField(owner, member);
        }
        MethodType type = MethodType.fromMethodDescriptorString(member.descriptor, loader);
        return owner.isArray() || hasMethod(owner, member.name, type);
    }

    private static boolean hasField(Class<?> owner, ClassReferences.Member member) {
        for (Class<?> type = owner; type != null; type = type.getSuperclass()) {
            for (Field field : type.getDeclaredFields()) {
                if (field.getName().equals(member.name)
                        && descriptorOf(field).equals(member.descriptor)) {
                    return true;
                }
            }
        }
        return false;
    }

    private static String descriptorOf(Field field) {
        return MethodType.methodType(field.getType()).toMethodDescriptorString().substring("()".length());
    }

    private static boolean hasMethod(Class<?> owner, String name, MethodType type) {
        if (name.equals("<init>")) {
            for (Constructor<?> constructor : owner.getDeclaredConstructors()) {
                if (Arrays.equals(constructor.getParameterTypes(), type.parameterArray())) {
                    return true;
                }
            }
            return false;
        }
        for (Method method : owner.getDeclaredMethods()) {
            boolean same =
                    method.getName().equals(name)
                            && method.getReturnType() == type.returnType()
                            && Arrays.equals(method.getParameterTypes(), type.parameterArray());
            if (same || isSignaturePolymorphic(method, name)) {
                return true;
            }
        }
        for (Class<?> parent : owner.getInterfaces()) {
            if (hasMethod(parent, name, type)) {
                return true;
            }
        }
        Class<?> parent = owner.isInterface() ? Object.class : owner.getSuperclass();
        return parent != null && hasMethod(parent, name, type);
    }

    private static boolean isSignaturePolymorphic(Method method, String name) {
        return method.getName().equals(name) && method.getDeclaringClass().getName().startsWith("java.lang.invoke.");
    }

    private Class<?> load(String name) {
        try {
            return Class.forName(name, false, loader);
        } catch (ClassNotFoundException | NoClassDefFoundError e) {
            return null; // that is what is looked for
        }
    }
}
