CLASS cl_http_message DEFINITION PUBLIC FINAL CREATE PUBLIC.
  PUBLIC SECTION.
    INTERFACES if_http_request.
    INTERFACES if_http_response.
    TYPES: BEGIN OF ty_field,
             name  TYPE string,
             value TYPE string,
           END OF ty_field.
    DATA fields TYPE SORTED TABLE OF ty_field WITH UNIQUE KEY name.
    DATA method TYPE string.
    DATA body TYPE string.
    DATA status TYPE i.
ENDCLASS.

CLASS cl_http_message IMPLEMENTATION.
  METHOD if_http_request~set_header_field.
    DATA field TYPE ty_field.
    if_http_request~delete_header_field( name ).
    field-name = to_lower( name ).
    field-value = value.
    INSERT field INTO TABLE fields.
  ENDMETHOD.

  METHOD if_http_request~delete_header_field.
    DATA lower TYPE string.
    lower = to_lower( name ).
    DELETE fields WHERE name = lower.
  ENDMETHOD.

  METHOD if_http_request~get_header_field.
    DATA field TYPE ty_field.
    DATA lower TYPE string.
    lower = to_lower( name ).
    READ TABLE fields INTO field WITH TABLE KEY name = lower.
    IF sy-subrc = 0.
      value = field-value.
    ENDIF.
  ENDMETHOD.

  METHOD if_http_request~set_method.
    me->method = method.
  ENDMETHOD.

  METHOD if_http_request~set_cdata.
    body = data.
  ENDMETHOD.

  METHOD if_http_response~get_status.
    code = status.
  ENDMETHOD.

  METHOD if_http_response~get_cdata.
    data = body.
  ENDMETHOD.

  METHOD if_http_response~get_header_field.
    value = if_http_request~get_header_field( name ).
  ENDMETHOD.
ENDCLASS.
