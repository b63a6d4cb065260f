*&---------------------------------------------------------------------*
*& Example: sends an invoice to an E-Invoice API. The application sees no token; it prepares its request, and ZCL_TOKENWARD sends
*& it, renews if needed, and takes the header out again.
*&---------------------------------------------------------------------*
REPORT ztkw_example_einvoice.

PARAMETERS: p_alias TYPE ztkw_alias DEFAULT 'EINVOICE',
            p_dest  TYPE rfcdest,
            p_path  TYPE ztkw_path LOWER CASE DEFAULT '/v1/invoices',
            p_body  TYPE c LENGTH 255 LOWER CASE.


CLASS lcl_report DEFINITION CREATE PRIVATE FINAL.

  PUBLIC SECTION.
    CLASS-METHODS run.
ENDCLASS.


CLASS lcl_report IMPLEMENTATION.

  METHOD run.
    DATA: http    TYPE REF TO if_http_client,
          status  TYPE i,
          body    TYPE string,
          failure TYPE REF TO zcx_tkw.

    cl_http_client=>create_by_destination(
      EXPORTING
        destination = p_dest
      IMPORTING
        client      = http
      EXCEPTIONS
        OTHERS      = 1 ).
    IF sy-subrc <> 0.
      MESSAGE e011(ztkw) WITH p_alias p_dest sy-subrc.
    ENDIF.
    cl_http_utility=>set_request_uri( request = http->request
                                      uri     = |{ p_path }| ).
    http->request->set_method( if_http_request=>co_request_method_post ).
    http->request->set_header_field( name  = 'Content-Type'
                                     value = 'application/json' ).
    body = p_body.
    http->request->set_cdata( body ).
    TRY.
        status = zcl_tokenward=>of( p_alias )->call( http ).
        WRITE / |HTTP { status }|.
        body = http->response->get_cdata( ).
        WRITE / body.
      CATCH zcx_tkw INTO failure.
        MESSAGE failure TYPE 'S' DISPLAY LIKE 'E'.
    ENDTRY.
    http->close( EXCEPTIONS OTHERS = 1 ).
  ENDMETHOD.

ENDCLASS.


START-OF-SELECTION.
  lcl_report=>run( ).
