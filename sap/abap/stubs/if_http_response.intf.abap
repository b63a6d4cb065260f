INTERFACE if_http_response PUBLIC.
  METHODS get_status
    EXPORTING
      code TYPE i.
  METHODS get_cdata
    RETURNING
      VALUE(data) TYPE string.
  METHODS get_header_field
    IMPORTING
      name         TYPE string
    RETURNING
      VALUE(value) TYPE string.
ENDINTERFACE.
