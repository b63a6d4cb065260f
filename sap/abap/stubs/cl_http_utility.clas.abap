CLASS cl_http_utility DEFINITION PUBLIC FINAL CREATE PRIVATE.
  PUBLIC SECTION.
    CLASS-METHODS set_request_uri
      IMPORTING
        request TYPE REF TO if_http_request
        uri     TYPE string.
    CLASS-METHODS escape_url
      IMPORTING
        unescaped      TYPE string
      RETURNING
        VALUE(escaped) TYPE string.
ENDCLASS.

CLASS cl_http_utility IMPLEMENTATION.
  METHOD set_request_uri.
    request->set_header_field( name  = '~request_uri'
                               value = uri ).
  ENDMETHOD.

  METHOD escape_url.
    WRITE '@KERNEL escaped.set(encodeURIComponent(INPUT.unescaped.get()));'.
  ENDMETHOD.
ENDCLASS.
