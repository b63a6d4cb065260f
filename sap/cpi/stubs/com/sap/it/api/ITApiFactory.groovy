// A stand-in for CPI's factory of services. Tests put a store of theirs in. No part of the collection.
package com.sap.it.api

class ITApiFactory {
    static Object service

    static <T> T getService(Class<T> type, Object context) { (T) service }
}
