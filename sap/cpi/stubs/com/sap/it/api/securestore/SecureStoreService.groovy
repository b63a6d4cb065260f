// A stand-in for CPI's Security Material as scripts see it. No part of the collection.
package com.sap.it.api.securestore

interface SecureStoreService {
    UserCredential getUserCredential(String alias)
}
