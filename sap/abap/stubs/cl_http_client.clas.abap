CLASS cl_http_client DEFINITION PUBLIC CREATE PUBLIC.
  PUBLIC SECTION.
    INTERFACES if_http_client.
    DATA destination TYPE string.
    CLASS-METHODS create_by_destination
      IMPORTING
        destination TYPE clike
      EXPORTING
        client      TYPE REF TO if_http_client
      EXCEPTIONS
        argument_not_found
        destination_not_found
        destination_no_authority
        plugin_not_active
        internal_error.
    METHODS exchange
      RETURNING
        VALUE(failed) TYPE abap_bool.
ENDCLASS.

CLASS cl_http_client IMPLEMENTATION.
  METHOD create_by_destination.
    DATA made TYPE REF TO cl_http_client.
    DATA request TYPE REF TO cl_http_message.
    DATA known TYPE abap_bool.
    WRITE '@KERNEL known.set(globalThis.sapKernel.hasDestination(INPUT.destination.get()) ? "X" : " ");'.
    IF known = abap_false.
      RAISE destination_not_found.
    ENDIF.
    CREATE OBJECT made.
    CREATE OBJECT request.
    made->destination = destination.
    made->if_http_client~request = request.
    client = made.
  ENDMETHOD.

  METHOD if_http_client~send.
    RETURN.
  ENDMETHOD.

  METHOD if_http_client~receive.
    DATA answer TYPE REF TO cl_http_message.
    CREATE OBJECT answer.
    if_http_client~response = answer.
    IF exchange( ) = abap_true.
      RAISE http_communication_failure.
    ENDIF.
  ENDMETHOD.

  METHOD exchange.
    DATA request TYPE REF TO cl_http_message.
    DATA response TYPE REF TO cl_http_message.
    request ?= if_http_client~request.
    response ?= if_http_client~response.
    WRITE '@KERNEL failed.set((await globalThis.sapKernel.http(this.destination.get(), request.get(), response.get())) ? " " : "X");'.
  ENDMETHOD.

  METHOD if_http_client~close.
    RETURN.
  ENDMETHOD.
ENDCLASS.
