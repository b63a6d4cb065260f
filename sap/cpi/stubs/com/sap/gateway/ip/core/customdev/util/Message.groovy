// A stand-in for CPI's message, as far as the scripts use it. Its getProperty is also what Groovy asks for `message.name`, so the
// tests call the getters. No part of the collection.
package com.sap.gateway.ip.core.customdev.util

class Message {
    private Map<String, Object> headers = [:]
    private Map<String, Object> properties = [:]
    private Object body

    Map<String, Object> getHeaders() { headers }

    void setHeaders(Map<String, Object> headers) { this.headers = headers }

    void setHeader(String name, Object value) { headers[name] = value }

    Object getProperty(String name) { properties[name] }

    void setProperty(String name, Object value) { properties[name] = value }

    Map<String, Object> getProperties() { properties }

    Object getBody(Class type) { body?.asType(type) }

    void setBody(Object body) { this.body = body }
}
