// A stand-in for CPI's credential. No part of the collection.
package com.sap.it.api.securestore

interface UserCredential {
    String getUsername()

    char[] getPassword()
}
