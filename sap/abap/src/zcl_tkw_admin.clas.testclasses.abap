CLASS ltcl_admin DEFINITION FINAL FOR TESTING RISK LEVEL DANGEROUS DURATION SHORT.

  PRIVATE SECTION.
    CONSTANTS c_alias TYPE ztkw_alias VALUE 'ZTKW_UNIT_TEST'.

    DATA admin TYPE REF TO zcl_tkw_admin.

    METHODS setup RAISING cx_static_check.
    METHODS teardown RAISING cx_static_check.
    METHODS incomplete_is_refused FOR TESTING.
    METHODS saved_is_shown FOR TESTING RAISING cx_static_check.
    METHODS saving_forgets_the_token FOR TESTING RAISING cx_static_check.

    METHODS refused
      IMPORTING
        client   TYPE ztkw_clients
        expected TYPE symsgno.
ENDCLASS.


CLASS ltcl_admin IMPLEMENTATION.

  METHOD setup.
    CREATE OBJECT admin
      EXPORTING
        alias = c_alias.
    admin->remove( ).
  ENDMETHOD.

  METHOD teardown.
    admin->remove( ).
  ENDMETHOD.

  METHOD refused.
    DATA failure TYPE REF TO zcx_tkw.

    TRY.
        admin->save( client ).
        cl_abap_unit_assert=>fail( 'an incomplete alias was saved' ).
      CATCH zcx_tkw INTO failure.
        cl_abap_unit_assert=>assert_equals( act = failure->if_t100_message~t100key-msgno
                                            exp = expected ).
    ENDTRY.
  ENDMETHOD.

  METHOD incomplete_is_refused.
    DATA client TYPE ztkw_clients.

    client-secret_in = 'D'.
    refused( client   = client
             expected = '033' ).
    client-destination = 'TOKENWARD'.
    client-secret_in = 'X'.
    refused( client   = client
             expected = '033' ).
    client-secret_in = 'T'.
    refused( client   = client
             expected = '013' ).
  ENDMETHOD.

  METHOD saved_is_shown.
    DATA: client TYPE ztkw_clients,
          state  TYPE zcl_tkw_admin=>ty_state.

    client-destination = 'TOKENWARD'.
    client-secret_in = 'D'.
    admin->save( client ).
    state = admin->state( ).
    cl_abap_unit_assert=>assert_equals( act = state-destination
                                        exp = 'TOKENWARD' ).
    cl_abap_unit_assert=>assert_false( state-alive ).
  ENDMETHOD.

  METHOD saving_forgets_the_token.
    DATA: client TYPE ztkw_clients,
          store  TYPE REF TO zcl_tkw_store,
          token  TYPE ztkw_tokens.

    client-destination = 'TOKENWARD'.
    client-secret_in = 'D'.
    admin->save( client ).
    CREATE OBJECT store.
    token = store->token( c_alias ).
    token-access_token = `1.unit-test-token`.
    store->swap( CHANGING token = token ).
    admin->save( client ).
    token = store->token( c_alias ).
    cl_abap_unit_assert=>assert_initial( token-access_token ).
  ENDMETHOD.

ENDCLASS.
