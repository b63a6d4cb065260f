"! Renews the token of one alias, in the session that CL_ABAP_PARALLEL gives it: lock, read again, generate with If-Match,
"! store, commit. Never runs in a caller's session.
CLASS zcl_tkw_cloud_renewal DEFINITION PUBLIC FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    INTERFACES if_serializable_object.
    INTERFACES if_abap_parallel.

    "! @parameter dead_generation | the token that an API refused; -1 for none
    METHODS constructor
      IMPORTING
        alias           TYPE ztkw_c_token-client_alias
        scenario        TYPE if_com_management=>ty_cscn_id
        service         TYPE if_com_management=>ty_cscn_outb_srv_id
        dead_generation TYPE ztkw_c_token-generation.

  PROTECTED SECTION.
  PRIVATE SECTION.
    TYPES:
      BEGIN OF ty_answer,
        access_token TYPE string,
        expires_in   TYPE i,
        generation   TYPE ztkw_c_token-generation,
      END OF ty_answer.

    CONSTANTS:
      c_path     TYPE string VALUE `/integration/v1/authz/token`,
      "! A token is renewed when a tenth of its life is left.
      c_fraction TYPE i VALUE 10,
      "! Seconds until a token that never expires is looked at again: a day.
      c_day      TYPE i VALUE 86400.

    DATA:
      alias           TYPE ztkw_c_token-client_alias,
      scenario        TYPE if_com_management=>ty_cscn_id,
      service         TYPE if_com_management=>ty_cscn_outb_srv_id,
      dead_generation TYPE ztkw_c_token-generation.

    METHODS renew
      RAISING
        cx_http_dest_provider_error
        cx_web_http_client_error.

    METHODS generate
      IMPORTING
        generation    TYPE ztkw_c_token-generation
      RETURNING
        VALUE(answer) TYPE ty_answer
      RAISING
        cx_http_dest_provider_error
        cx_web_http_client_error.
ENDCLASS.


CLASS zcl_tkw_cloud_renewal IMPLEMENTATION.

  METHOD constructor.
    me->alias = alias.
    me->scenario = scenario.
    me->service = service.
    me->dead_generation = dead_generation.
  ENDMETHOD.

  METHOD if_abap_parallel~do.
    TRY.
        DATA(lock) = cl_abap_lock_object_factory=>get_instance( iv_name = 'EZTKW_C_TOKEN' ).
        DATA(key) = VALUE if_abap_lock_object=>tt_parameter( ( name  = 'CLIENT_ALIAS'
                                                               value = REF #( alias ) ) ).
        lock->enqueue( it_parameter = key
                       _wait        = abap_true ).
        renew( ).
        lock->dequeue( it_parameter = key ).
      CATCH cx_abap_foreign_lock cx_abap_lock_failure cx_http_dest_provider_error cx_web_http_client_error.
        " The caller looks at the table: what was not renewed is not there. The session's end gives the lock back.
        ROLLBACK WORK.
    ENDTRY.
  ENDMETHOD.

  METHOD renew.
    DATA(now) = utclong_current( ).
    SELECT SINGLE FROM ztkw_c_token FIELDS * WHERE client_alias = @alias INTO @DATA(row).
    IF sy-subrc = 0 AND row-generation <> dead_generation AND row-renew_at > now.
      RETURN.
    ENDIF.
    DATA(answer) = generate( row-generation ).
    IF answer-access_token IS INITIAL.
      RETURN.
    ENDIF.
    DATA(seconds) = COND i( WHEN answer-expires_in > 0
                            THEN answer-expires_in - answer-expires_in DIV c_fraction
                            ELSE c_day ).
    row = VALUE #( client_alias = alias
                   access_token = answer-access_token
                   generation   = answer-generation
                   renew_at     = utclong_add( val     = now
                                               seconds = seconds ) ).
    MODIFY ztkw_c_token FROM @row.
    IF sy-subrc = 0.
      COMMIT WORK.
    ENDIF.
  ENDMETHOD.

  METHOD generate.
    DATA(destination) = cl_http_destination_provider=>create_by_comm_arrangement( comm_scenario = scenario
                                                                                  service_id    = service ).
    DATA(http) = cl_web_http_client_manager=>create_by_http_destination( destination ).
    DATA(request) = http->get_http_request( ).
    request->set_uri_path( c_path ).
    request->set_header_field( i_name  = 'If-Match'
                               i_value = |"{ generation }"| ).
    DATA(response) = http->execute( if_web_http_client=>post ).
    IF response->get_status( )-code = 200.
      /ui2/cl_json=>deserialize( EXPORTING json = response->get_text( )
                                 CHANGING  data = answer ).
    ENDIF.
    http->close( ).
  ENDMETHOD.

ENDCLASS.
