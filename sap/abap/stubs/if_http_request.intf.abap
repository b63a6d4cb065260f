INTERFACE if_http_request PUBLIC.
  CONSTANTS co_request_method_get TYPE string VALUE 'GET'.
  CONSTANTS co_request_method_post TYPE string VALUE 'POST'.
  METHODS set_header_field
    IMPORTING
      name  TYPE string
      value TYPE string.
  METHODS delete_header_field
    IMPORTING
      name TYPE string.
  METHODS get_header_field
    IMPORTING
      name         TYPE string
    RETURNING
      VALUE(value) TYPE string.
  METHODS set_method
    IMPORTING
      method TYPE string.
  METHODS set_cdata
    IMPORTING
      data TYPE string.
ENDINTERFACE.
